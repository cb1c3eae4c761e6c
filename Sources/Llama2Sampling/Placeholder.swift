public import Llama2Core
public struct SamplerOptions: Sendable { public var seed: UInt64 = 0, temperature: Float = 0.8, topK = 40, topP: Float = 0.95, minP: Float = 0.05, repetitionPenalty: Float = 1, frequencyPenalty: Float = 0, presencePenalty: Float = 0, penaltyLastN = 64, logitBias: [(token: Int32, bias: Float)] = []; public init() {} }
public final class Sampler { public init(_ o: SamplerOptions, vocabularySize: Int?) throws(Llama2Error) {}
 public func sample(_ l: UnsafeBufferPointer<Float>) throws(Llama2Error) -> Int32 { var b = 0; for i in l.indices where l[i] > l[b] { b = i }; return Int32(b) }
 public func accept(_ t: Int32) {}
 public func reset() {} }
public struct StopMatcher { public init(stops: [[UInt8]]) {}
 public mutating func push(_ b: UnsafeRawBufferPointer, emit: (UnsafeRawBufferPointer) -> Void) -> Bool { emit(b); return false }
 public mutating func flush(emit: (UnsafeRawBufferPointer) -> Void) {} }
