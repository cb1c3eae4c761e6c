public import CLlama2Swift
internal import Llama2Core
internal import Llama2Engine

@c @implementation
public func llama2_layer_options_init(_ options: UnsafeMutablePointer<llama2_layer_options>?) { initialize(options) }

@c @implementation
public func llama2_context_set_layer_callback(
    _ context: OpaquePointer?, _ callback: llama2_layer_callback?, _ userData: UnsafeMutableRawPointer?,
    _ given: UnsafePointer<llama2_layer_options>?
) -> Int32 {
    call(context: context) { (context) throws(Llama2Error) in
        let o = try options(given, zero: llama2_layer_options(), "llama2_layer_options")
        try checkFlags(o.flags, UInt32(LLAMA2_LAYERS_CHANGE | LLAMA2_LAYERS_SEQUENCE), "llama2_layer_options")
        guard o.reserved == 0 else { throw Llama2Error(.invalidArgument, "llama2_layer_options.reserved is \(o.reserved), expected 0") }
        let layers = context.layerCount
        let first = Int(o.first_layer), count = o.layer_count == 0 ? max(layers - first, 0) : Int(o.layer_count)
        guard count > 0, first < layers, count <= layers - first else {
            throw Llama2Error(.outOfRange, "\(o.layer_count) layers from \(o.first_layer) on; this model has 0 to \(layers - 1)")
        }
        // positions beyond any context's are as good as its end
        let start = Int(clamping: o.first_position), (sum, overflow) = start.addingReportingOverflow(Int(clamping: o.position_count))
        let end = o.position_count == 0 || overflow ? Int.max : sum, changes = o.flags & UInt32(LLAMA2_LAYERS_CHANGE) != 0
        let sequence = o.flags & UInt32(LLAMA2_LAYERS_SEQUENCE) != 0 ? Int(o.sequence) : nil
        if let sequence { _ = try context.length(sequence) }
        guard let callback else { return try context.setObserver(nil) }
        try context.setObserver(
            LayerObserver(layers: first..<(first + count), sequence: sequence, positions: start..<max(start, end), changes: changes) {
                [unowned context] view in
                var shown = llama2_layer_view(
                    struct_size: UInt32(MemoryLayout<llama2_layer_view>.size), layer: UInt32(clamping: view.layer),
                    sequence: Int32(clamping: view.sequence), width: UInt32(clamping: view.width), position: UInt64(clamping: view.position),
                    count: UInt64(clamping: view.count), hidden: view.hidden)
                return context.hostMode.callback { callback(&shown, userData) != 0 }
            })
    }
}
