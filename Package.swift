// swift-tools-version: 6.2
import PackageDescription

// One module per instruction set: the flags below reach every function of a module, so nothing
// that runs on another machine may live in it: no generics of other modules, no Array, no String
// (Tests/python/test_kernel_modules.py looks at the symbols). Generics of its own are fine: sources of Formats
// and Body are links, so that each module compiles them for itself.
let avx2: [SwiftSetting] = flags("-mavx2", "-mfma", "-mf16c")
// AVX2's sources for several tokens, by links, with sums of its own
let avxVNNI: [SwiftSetting] = flags("-mavxvnni", "-mavx2", "-mfma", "-mf16c")
let avx512: [SwiftSetting] =
    flags(
        "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c") + [
        // Swift's own pass took half of this module's time (its kernels are loops of hundreds of operations); LLVM's does the same after it
        .unsafeFlags(["-Xllvm", "-sil-disable-pass=loop-invariant-code-motion"])
    ]
// AVX-512's sources for formats with tables, by links, with tables that are looked up in registers
let avx512VBMI: [SwiftSetting] = flags("-mavx512vbmi") + avx512
// The same sources as NEON's, by links: what differs is behind the compiler's macros in ArmIntrinsics.
let dotProduct: [SwiftSetting] = flags("-march=armv8-a+dotprod")
let i8mm: [SwiftSetting] = flags("-march=armv8-a+dotprod+i8mm")

func flags(_ names: String...) -> [SwiftSetting] { [.unsafeFlags(names.flatMap { ["-Xcc", $0] })] }

#if arch(x86_64)
let isaModules: [Target.Dependency] = ["X86Intrinsics", "Llama2KernelsAVX2", "Llama2KernelsAVXVNNI", "Llama2KernelsAVX512", "Llama2KernelsAVX512VBMI"]
let isaTargets: [Target] = [
    .target(name: "X86Intrinsics"),
    .target(name: "Llama2KernelsAVX2", dependencies: ["X86Intrinsics", "BlockTables", "KernelOperands"], swiftSettings: avx2),
    .target(name: "Llama2KernelsAVXVNNI", dependencies: ["X86Intrinsics", "BlockTables", "KernelOperands"], swiftSettings: avxVNNI),
    .target(name: "Llama2KernelsAVX512", dependencies: ["X86Intrinsics", "BlockTables", "KernelOperands"], swiftSettings: avx512),
    .target(name: "Llama2KernelsAVX512VBMI", dependencies: ["X86Intrinsics", "BlockTables", "KernelOperands"], swiftSettings: avx512VBMI),
]
#elseif arch(arm64)
// Never built by this file so far, as there was no such machine: Tests/trust/arm64.sh compiles the same modules with the same flags
// for aarch64 and runs them in an emulator.
let isaModules: [Target.Dependency] = ["ArmIntrinsics", "Llama2KernelsNEON", "Llama2KernelsDotProduct", "Llama2KernelsI8MM"]
let isaTargets: [Target] = [
    .target(name: "ArmIntrinsics"),
    .target(name: "Llama2KernelsNEON", dependencies: ["ArmIntrinsics", "BlockTables", "KernelOperands"]),
    .target(
        name: "Llama2KernelsDotProduct", dependencies: ["ArmIntrinsics", "BlockTables", "KernelOperands"], swiftSettings: dotProduct),
    .target(name: "Llama2KernelsI8MM", dependencies: ["ArmIntrinsics", "BlockTables", "KernelOperands"], swiftSettings: i8mm),
]
#else
let isaModules: [Target.Dependency] = []
let isaTargets: [Target] = []
#endif

// Calls by the oldest version of a function that glibc still has: LinuxSystem/old_glibc.c. Before 2.34 some of them lay in libraries of
// their own, which are named here; later ones have those names too, empty.
#if arch(x86_64)
let old = ["--no-as-needed", "-l:libpthread.so.0", "-l:libdl.so.2", "--as-needed"].flatMap { ["-Xlinker", $0] }
let oldest = [
    "pthread_create", "pthread_join", "pthread_once", "pthread_key_create", "pthread_setspecific", "pthread_attr_setstacksize",
    "pthread_sigmask", "pthread_setname_np", "sem_open", "dladdr", "dlopen", "dlsym", "dlerror", "exp", "exp2", "log", "log2",
    "hypotf", "stat", "lstat", "fstat", "_ZSt28__throw_bad_array_new_lengthv",
]
#else
let old: [String] = []
let oldest: [String] = []
#endif

// The library's own allocations go through LinuxSystem/memory_reserve.c, nobody else's.
let allocations = [
    "malloc", "calloc", "realloc", "free", "malloc_usable_size", "posix_memalign", "_Znwm", "_ZnwmSt11align_val_t", "_ZdlPvm",
    "_ZdlPvmSt11align_val_t",
]
// What the language's runtime would read when the library is opened: LinuxSystem/no_environment.c.
let environment = ["getenv", "environ"]
let wrapped = (allocations + oldest + environment).flatMap { ["-Xlinker", "--wrap=\($0)"] }

let package = Package(
    name: "llama2swift",
    products: [.library(name: "llama2swift", type: .dynamic, targets: ["Llama2CAPI"])],
    targets: isaTargets + [
        .systemLibrary(name: "CLlama2Swift", path: "Include"),
        .target(name: "LinuxSystem"),
        .target(name: "BlockTables"),
        .target(name: "KernelOperands"),
        .target(name: "UnicodeData"),
        // what Core owns is lent as spans that cannot outlive it
        .target(name: "Llama2Core", dependencies: ["LinuxSystem", "BlockTables", "UnicodeData"], swiftSettings: [.enableExperimentalFeature("Lifetimes")]),
        .target(name: "Llama2Kernels", dependencies: ["Llama2Core", "BlockTables", "KernelOperands"] + isaModules),
        .target(name: "Llama2Formats", dependencies: ["Llama2Core"]),
        .target(name: "Llama2Jinja", dependencies: ["Llama2Core"]),
        .target(name: "Llama2Tokenizer", dependencies: ["Llama2Core", "Llama2Jinja", "UnicodeData"]),
        .target(name: "Llama2Model", dependencies: ["KernelOperands", "Llama2Core", "Llama2Kernels", "Llama2Formats"]),
        .target(name: "Llama2Sampling", dependencies: ["Llama2Core"]),
        // whoever steps an automaton holds its gate; checking every access beside that took a quarter of the time of a mask
        .target(name: "Llama2Grammar", dependencies: ["Llama2Core"], swiftSettings: [.unsafeFlags(["-enforce-exclusivity=unchecked"])]),
        .target(
            name: "Llama2Engine",
            dependencies: [
                "Llama2Core", "Llama2Kernels", "Llama2Formats", "Llama2Jinja", "Llama2Tokenizer", "Llama2Model", "Llama2Sampling", "Llama2Grammar",
            ]),
        .target(
            // it imports Core and Engine; the others stand here because Engine's interface has their types: what is missing is not built
            // anew when that module changes
            name: "Llama2CAPI",
            dependencies: [
                "Llama2Core", "Llama2Kernels", "Llama2Formats", "Llama2Jinja", "Llama2Tokenizer", "Llama2Model", "Llama2Sampling",
                "Llama2Grammar",
                "Llama2Engine", "CLlama2Swift", "LinuxSystem",
            ],
            exclude: ["exports.map"],
            linkerSettings: [
                .unsafeFlags(
                    [
                        "-static-stdlib", "-use-ld=lld",
                        "-Xlinker", "--version-script=\(Context.packageDirectory)/Sources/Llama2CAPI/exports.map",
                        "-Xlinker", "-soname=libllama2swift.so.0", "-Xlinker", "-z", "-Xlinker", "nodelete",
                    ] + wrapped + old)
            ]),
        .executableTarget(
            name: "kernelbench", dependencies: ["KernelOperands", "Llama2Core", "Llama2Kernels"], path: "Tests/kernelbench"),
        .testTarget(
            name: "Llama2SwiftTests",
            dependencies: [
                "KernelOperands", "Llama2Core", "Llama2Kernels", "Llama2Formats", "Llama2Tokenizer", "Llama2Model", "Llama2Sampling",
                "Llama2Grammar", "Llama2Engine",
            ]),
    ])
