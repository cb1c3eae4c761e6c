public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_tokenize(
    _ model: OpaquePointer?, _ input: UnsafePointer<CChar>?, _ length: Int, _ flags: UInt32,
    _ tokens: UnsafeMutablePointer<Int32>?, _ capacity: Int, _ count: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        let (bos, special, usual) = (UInt32(LLAMA2_TOKENIZE_BOS), UInt32(LLAMA2_TOKENIZE_SPECIAL), UInt32(LLAMA2_TOKENIZE_DEFAULT_BOS))
        let (eos, usualEnd) = (UInt32(LLAMA2_TOKENIZE_EOS), UInt32(LLAMA2_TOKENIZE_DEFAULT_EOS))
        try checkFlags(flags, bos | special | usual | eos | usualEnd, "llama2_tokenize")
        let wantsBOS = flags & bos != 0 || (flags & usual != 0 && tokenizer.addsBOS)
        let wantsEOS = flags & eos != 0 || (flags & usualEnd != 0 && tokenizer.addsEOS)
        let ids = try tokenizer.tokenize(
            try text(input, length, "text"), bos: wantsBOS, eos: wantsEOS, parseSpecial: flags & special != 0)
        try give(ids.elements, to: tokens, capacity, count)
    }
}

@c @implementation
public func llama2_detokenize(
    _ model: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int, _ flags: UInt32,
    _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int, _ length: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        try checkFlags(flags, UInt32(LLAMA2_DETOKENIZE_SPECIAL), "llama2_detokenize")
        let bytes = try tokenizer.detokenize(try elements(tokens, count, "tokens"), special: flags != 0)
        try give(bytes.bytes.bindMemory(to: CChar.self), to: text, capacity, length)
    }
}

@c @implementation
public func llama2_token_piece(
    _ model: OpaquePointer?, _ token: Int32, _ flags: UInt32, _ text: UnsafeMutablePointer<CChar>?, _ capacity: Int,
    _ needed: UnsafeMutablePointer<Int>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        try checkFlags(flags, UInt32(LLAMA2_DETOKENIZE_SPECIAL), "llama2_token_piece")
        let piece = try tokenizer.piece(token, special: flags != 0)
        try give(piece.bindMemory(to: CChar.self), to: text, capacity, needed)
    }
}

@c @implementation
public func llama2_token_is_end(_ model: OpaquePointer?, _ token: Int32, _ isEnd: UnsafeMutablePointer<Int32>?) -> Int32 {
    call { () throws(Llama2Error) in
        let tokenizer = try Handles.model(model).tokenizer()
        let isEnd = try required(isEnd, "is_end")
        guard token >= 0, Int(token) < tokenizer.count else {
            throw Llama2Error(.invalidToken, "token \(token) is not in the vocabulary of \(tokenizer.count)")
        }
        isEnd.pointee = tokenizer.isEndOfGeneration(token) ? 1 : 0
    }
}

@c @implementation
public func llama2_model_special_tokens(
    _ model: OpaquePointer?, _ tokens: UnsafeMutablePointer<llama2_special_tokens>?
) -> Int32 {
    call { () throws(Llama2Error) in
        let t = try Handles.model(model).tokenizer()
        try fill(
            tokens,
            with: llama2_special_tokens(
                struct_size: 0, bos: t.bos ?? -1, eos: t.eos ?? -1, eot: t.eot ?? -1, unknown: t.unknown ?? -1,
                adds_bos: t.addsBOS ? 1 : 0, adds_eos: t.addsEOS ? 1 : 0), "llama2_special_tokens")
    }
}
