public import Llama2Formats
public import Llama2Grammar
public import Llama2Jinja
public import Llama2Kernels
public import Llama2Model
public import Llama2Sampling
public import Llama2Tokenizer

// What a host's call is made of: the types of the rooms below that stand in Engine's own interface. Who calls Engine needs these names
// and Core's, and no other room (Tests/python/test_rooms.py).

// Models
public typealias LoadOptions = Llama2Formats.LoadOptions
public typealias Hyperparameters = Llama2Model.Hyperparameters
public typealias Adapter = Llama2Model.Adapter

// Contexts
public typealias ContextConfiguration = Llama2Model.ContextConfiguration
public typealias CacheType = Llama2Kernels.CacheType
public typealias KernelISA = Llama2Kernels.Kernels.ISA
public typealias RoPEOptions = Llama2Model.RoPEOptions
public typealias RoPEScaling = Llama2Model.RoPEScaling
public typealias BatchEntry = Llama2Model.BatchEntry
public typealias HiddenStates = Llama2Model.HiddenStates
public typealias LayerObserver = Llama2Model.LayerObserver

// Samplers
public typealias SamplerOptions = Llama2Sampling.SamplerOptions
public typealias OwnStep = Llama2Sampling.OwnStep
public typealias BannedTexts = Llama2Sampling.BannedTexts
public typealias Candidate = Llama2Sampling.Candidate
public typealias LogProbabilities = Llama2Sampling.LogProbabilities

// Texts
public typealias Conversation = Llama2Jinja.Conversation
public typealias StreamingDecoder = Llama2Tokenizer.StreamingDecoder
public typealias Grammar = Llama2Grammar.Grammar
public typealias GrammarMatcher = Llama2Grammar.GrammarMatcher

extension KernelISA {
    /// What this machine can run, best last.
    public static var available: [KernelISA] { Kernels.available }
}
