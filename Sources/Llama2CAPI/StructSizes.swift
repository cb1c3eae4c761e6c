internal import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_struct_size(_ structure: UInt32, _ size: UnsafeMutablePointer<Int>?) -> Int32 {
    call { () throws(Llama2Error) in
        let size = try required(size, "size")
        switch Int32(bitPattern: structure) {
        case LLAMA2_STRUCT_MODEL_OPTIONS: size.pointee = MemoryLayout<llama2_model_options>.stride
        case LLAMA2_STRUCT_CONTEXT_OPTIONS: size.pointee = MemoryLayout<llama2_context_options>.stride
        case LLAMA2_STRUCT_SAMPLER_OPTIONS: size.pointee = MemoryLayout<llama2_sampler_options>.stride
        case LLAMA2_STRUCT_GENERATE_OPTIONS: size.pointee = MemoryLayout<llama2_generate_options>.stride
        case LLAMA2_STRUCT_HYPERPARAMETERS: size.pointee = MemoryLayout<llama2_hyperparameters>.stride
        case LLAMA2_STRUCT_SPECIAL_TOKENS: size.pointee = MemoryLayout<llama2_special_tokens>.stride
        case LLAMA2_STRUCT_CONTEXT_INFO: size.pointee = MemoryLayout<llama2_context_info>.stride
        case LLAMA2_STRUCT_TIMINGS: size.pointee = MemoryLayout<llama2_timings>.stride
        case LLAMA2_STRUCT_MEMORY: size.pointee = MemoryLayout<llama2_memory>.stride
        case LLAMA2_STRUCT_GENERATE_RESULT: size.pointee = MemoryLayout<llama2_generate_result>.stride
        case LLAMA2_STRUCT_MESSAGE: size.pointee = MemoryLayout<llama2_message>.stride
        case LLAMA2_STRUCT_BATCH_ENTRY: size.pointee = MemoryLayout<llama2_batch_entry>.stride
        case LLAMA2_STRUCT_TEXT: size.pointee = MemoryLayout<llama2_text>.stride
        case LLAMA2_STRUCT_LOGIT_BIAS: size.pointee = MemoryLayout<llama2_logit_bias>.stride
        case LLAMA2_STRUCT_TYPE_OVERRIDE: size.pointee = MemoryLayout<llama2_type_override>.stride
        case LLAMA2_STRUCT_QUANTIZE_OPTIONS: size.pointee = MemoryLayout<llama2_quantize_options>.stride
        case LLAMA2_STRUCT_PERPLEXITY_RESULT: size.pointee = MemoryLayout<llama2_perplexity_result>.stride
        case LLAMA2_STRUCT_IO: size.pointee = MemoryLayout<llama2_io>.stride
        case LLAMA2_STRUCT_TENSOR_INFO: size.pointee = MemoryLayout<llama2_tensor_info>.stride
        case LLAMA2_STRUCT_GRAMMAR_OPTIONS: size.pointee = MemoryLayout<llama2_grammar_options>.stride
        case LLAMA2_STRUCT_CHAT_OPTIONS: size.pointee = MemoryLayout<llama2_chat_options>.stride
        case LLAMA2_STRUCT_ADAPTER_INFO: size.pointee = MemoryLayout<llama2_adapter_info>.stride
        case LLAMA2_STRUCT_LAYER_OPTIONS: size.pointee = MemoryLayout<llama2_layer_options>.stride
        case LLAMA2_STRUCT_LAYER_VIEW: size.pointee = MemoryLayout<llama2_layer_view>.stride
        case LLAMA2_STRUCT_SCALED_ADAPTER: size.pointee = MemoryLayout<llama2_scaled_adapter>.stride
        case LLAMA2_STRUCT_SCHEDULER_OPTIONS: size.pointee = MemoryLayout<llama2_scheduler_options>.stride
        case LLAMA2_STRUCT_REQUEST_OPTIONS: size.pointee = MemoryLayout<llama2_request_options>.stride
        case LLAMA2_STRUCT_EVENT: size.pointee = MemoryLayout<llama2_event>.stride
        case LLAMA2_STRUCT_SCHEDULER_STATS: size.pointee = MemoryLayout<llama2_scheduler_stats>.stride
        case LLAMA2_STRUCT_TEXT_BIAS: size.pointee = MemoryLayout<llama2_text_bias>.stride
        case LLAMA2_STRUCT_CANDIDATE: size.pointee = MemoryLayout<llama2_candidate>.stride
        case LLAMA2_STRUCT_OWN_STEP: size.pointee = MemoryLayout<llama2_own_step>.stride
        case LLAMA2_STRUCT_TOKEN_REPORT: size.pointee = MemoryLayout<llama2_token_report>.stride
        case LLAMA2_STRUCT_SEARCH_OPTIONS: size.pointee = MemoryLayout<llama2_search_options>.stride
        case LLAMA2_STRUCT_FOUND: size.pointee = MemoryLayout<llama2_found>.stride
        default: throw Llama2Error(.invalidArgument, "there is no structure \(structure)")
        }
    }
}

@c @implementation
public func llama2_struct_init(_ structure: UnsafeMutableRawPointer?, _ size: Int) -> Int32 {
    call { () throws(Llama2Error) in try SizedStruct.initialize(try required(structure, "structure"), size: size) }
}

@c @implementation
public func llama2_kernels_available(_ mask: UnsafeMutablePointer<UInt32>?) -> Int32 {
    call { () throws(Llama2Error) in
        let mask = try required(mask, "mask")
        mask.pointee = KernelISA.available.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
    }
}

/// A struct that begins with struct_size.
protocol SizedCStruct {
    /// Bytes in the version of the header that brought it. Never changes: see `SizedStruct`.
    static var firstSize: Int { get }
}

// Since 0.1
extension llama2_model_options: SizedCStruct { static var firstSize: Int { 8 } }
extension llama2_context_options: SizedCStruct { static var firstSize: Int { 32 } }
extension llama2_sampler_options: SizedCStruct { static var firstSize: Int { 64 } }
extension llama2_generate_options: SizedCStruct { static var firstSize: Int { 56 } }
extension llama2_hyperparameters: SizedCStruct { static var firstSize: Int { 72 } }
extension llama2_special_tokens: SizedCStruct { static var firstSize: Int { 24 } }
extension llama2_context_info: SizedCStruct { static var firstSize: Int { 40 } }
extension llama2_timings: SizedCStruct { static var firstSize: Int { 40 } }
extension llama2_memory: SizedCStruct { static var firstSize: Int { 40 } }
extension llama2_generate_result: SizedCStruct { static var firstSize: Int { 24 } }
// Since 0.2
extension llama2_quantize_options: SizedCStruct { static var firstSize: Int { 64 } }
extension llama2_perplexity_result: SizedCStruct { static var firstSize: Int { 40 } }
extension llama2_io: SizedCStruct { static var firstSize: Int { 32 } }
extension llama2_tensor_info: SizedCStruct { static var firstSize: Int { 32 } }
// Since 0.3
extension llama2_grammar_options: SizedCStruct { static var firstSize: Int { 8 } }
extension llama2_chat_options: SizedCStruct { static var firstSize: Int { 96 } }
extension llama2_adapter_info: SizedCStruct { static var firstSize: Int { 32 } }
extension llama2_scheduler_options: SizedCStruct { static var firstSize: Int { 24 } }
extension llama2_request_options: SizedCStruct { static var firstSize: Int { 128 } }
extension llama2_scheduler_stats: SizedCStruct { static var firstSize: Int { 128 } }
extension llama2_layer_options: SizedCStruct { static var firstSize: Int { 40 } }
extension llama2_search_options: SizedCStruct { static var firstSize: Int { 48 } }
extension llama2_layer_view: SizedCStruct { static var firstSize: Int { 40 } }
