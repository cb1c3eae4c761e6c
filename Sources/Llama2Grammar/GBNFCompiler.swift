internal import Llama2Core
enum GBNFCompiler { static func compile(_ text: [UInt8], _ v: GrammarVocabulary) throws(Llama2Error) -> Program { throw Llama2Error(.unsupported, "not yet") } }
