//! The header by hand, as far as it is needed, and owners over it. rustc 1.63 or later, no crates.
#![allow(dead_code)]
use std::any::Any;
use std::ffi::{c_char, c_void, CStr, CString};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::ptr::{null, null_mut};

pub const OK: i32 = 0;
pub const E_BUSY: i32 = -62;
pub const E_INVALID_TOKEN: i32 = -7;
const TOKENIZE_DEFAULT_BOS: u32 = 4;
const CONTEXT_KV_F32: u32 = 1;
const SAMPLER_GREEDY: u32 = 1;

#[repr(C)]
struct ContextOptions {
    struct_size: u32, flags: u32, context_length: u32, max_sequences: u32,
    batch_size: u32, threads: u32, kernels: u32, reserved: u32,
}

#[repr(C)]
struct SamplerOptions {
    struct_size: u32, flags: u32, seed: u64, temperature: f32, top_p: f32, min_p: f32,
    repetition_penalty: f32, frequency_penalty: f32, presence_penalty: f32, top_k: i32, penalty_last_n: i32,
    logit_bias: *const c_void, logit_bias_count: usize,
}

#[repr(C)]
struct GenerateOptions {
    struct_size: u32, flags: u32, prompt: *const i32, prompt_count: usize, stops: *const c_void, stop_count: usize,
    max_tokens: u64, result: *mut c_void,
}

type PieceCallback = extern "C" fn(*const c_char, usize, *mut c_void) -> i32;

// A handle is an id that looks like a pointer: usize is the honest type for it.
#[link(name = "llama2swift")]
extern "C" {
    fn llama2_last_error() -> *const c_char;
    fn llama2_struct_size(structure: u32, size: *mut usize) -> i32;
    fn llama2_struct_init(structure: *mut c_void, size: usize) -> i32;
    fn llama2_model_load(path: *const c_char, options: *const c_void, model: *mut usize, error: *mut c_char, capacity: usize) -> i32;
    fn llama2_model_free(model: usize);
    fn llama2_tokenize(model: usize, text: *const c_char, length: usize, flags: u32, tokens: *mut i32, capacity: usize, count: *mut usize) -> i32;
    fn llama2_context_create(model: usize, options: *const ContextOptions, context: *mut usize, error: *mut c_char, capacity: usize) -> i32;
    fn llama2_context_free(context: usize);
    fn llama2_context_reset(context: usize) -> i32;
    fn llama2_sampler_create(options: *const SamplerOptions, sampler: *mut usize, error: *mut c_char, capacity: usize) -> i32;
    fn llama2_sampler_free(sampler: usize);
    fn llama2_generate(context: usize, sampler: usize, options: *const GenerateOptions, callback: Option<PieceCallback>, user_data: *mut c_void) -> i32;
}

#[derive(Debug)]
pub struct Failure { pub status: i32, pub sentence: String }

/// The last error belongs to the thread of the failed call, so it is read at once.
fn check(status: i32) -> Result<(), Failure> {
    if status == OK { return Ok(()); }
    let sentence = unsafe { CStr::from_ptr(llama2_last_error()) }.to_string_lossy().into_owned();
    Err(Failure { status, sentence })
}

/// A struct of this file with all defaults. The library's functions `llama2_..._options_init` are macros in C: called by name, they
/// would state the size that the struct had in the version that brought it.
fn defaults<T>() -> Result<T, Failure> {
    let mut options = std::mem::MaybeUninit::<T>::zeroed();
    check(unsafe { llama2_struct_init(options.as_mut_ptr().cast(), std::mem::size_of::<T>()) })?;
    Ok(unsafe { options.assume_init() })
}

/// The structs above are those of the library, or the beginnings of those: a later version only appends.
pub fn check_layout() -> Result<(), Failure> {
    for (number, ours) in [(2, std::mem::size_of::<ContextOptions>()), (3, std::mem::size_of::<SamplerOptions>()), (4, std::mem::size_of::<GenerateOptions>())] {
        let mut size = 0;
        check(unsafe { llama2_struct_size(number, &mut size) })?;
        assert!(size >= ours, "struct {number} has {size} bytes in the library and {ours} here");
    }
    Ok(())
}

/// Any number of threads may use it at once; a usize makes it Send and Sync by itself.
pub struct Model(usize);
impl Drop for Model { fn drop(&mut self) { unsafe { llama2_model_free(self.0) } } }

impl Model {
    pub fn load(path: &str) -> Result<Model, Failure> {
        let path = CString::new(path).expect("a path without NUL");
        let mut handle = 0;
        check(unsafe { llama2_model_load(path.as_ptr(), null(), &mut handle, null_mut(), 0) })?;
        Ok(Model(handle))
    }

    pub fn tokenize(&self, text: &str) -> Result<Vec<i32>, Failure> {
        let mut tokens = vec![0; text.len() + 2]; // never more than the bytes, BOS and a leading space
        let mut count = 0;
        check(unsafe { llama2_tokenize(self.0, text.as_ptr().cast(), text.len(), TOKENIZE_DEFAULT_BOS, tokens.as_mut_ptr(), tokens.len(), &mut count) })?;
        tokens.truncate(count);
        Ok(tokens)
    }

    /// The cache is in F32 here, so that stories are the golden ones, which were made in float64.
    pub fn context(&self, threads: u32) -> Result<Context, Failure> {
        let mut handle = 0;
        unsafe {
            let mut options: ContextOptions = defaults()?;
            options.flags = CONTEXT_KV_F32;
            options.threads = threads;
            check(llama2_context_create(self.0, &options, &mut handle, null_mut(), 0))?;
        }
        Ok(Context(handle))
    }
}

/// Goes from thread to thread (Send); `&mut self` below keeps it with one at a time.
pub struct Context(usize);
impl Drop for Context { fn drop(&mut self) { unsafe { llama2_context_free(self.0) } } }

struct Receiver<'a> { receive: &'a mut dyn FnMut(&str) -> bool, panic: Option<Box<dyn Any + Send>> }

/// A panic must not leave an extern "C" function (it would abort): it is kept, and goes on when the library has returned.
extern "C" fn receive(piece: *const c_char, length: usize, user_data: *mut c_void) -> i32 {
    let receiver = unsafe { &mut *user_data.cast::<Receiver>() };
    // whole UTF-8 characters, says the header; borrowed during this call only
    let piece = unsafe { std::str::from_utf8_unchecked(std::slice::from_raw_parts(piece.cast(), length)) };
    match catch_unwind(AssertUnwindSafe(|| (receiver.receive)(piece))) {
        Ok(wanted) => !wanted as i32,
        Err(panic) => { receiver.panic = Some(panic); 1 }
    }
}

impl Context {
    pub fn handle(&self) -> usize { self.0 }
    pub fn reset(&mut self) -> Result<(), Failure> { reset(self.0) }

    /// Greedy; `piece` says whether it wants more.
    pub fn generate(&mut self, prompt: &[i32], max_tokens: usize, mut piece: impl FnMut(&str) -> bool) -> Result<(), Failure> {
        let mut receiver = Receiver { receive: &mut piece, panic: None };
        let status = unsafe {
            let mut greedy: SamplerOptions = defaults()?;
            greedy.flags = SAMPLER_GREEDY;
            let mut sampler = 0;
            check(llama2_sampler_create(&greedy, &mut sampler, null_mut(), 0))?;
            let mut options: GenerateOptions = defaults()?;
            options.prompt = prompt.as_ptr();
            options.prompt_count = prompt.len();
            options.max_tokens = max_tokens as u64;
            let status = llama2_generate(self.0, sampler, &options, Some(receive), (&mut receiver as *mut Receiver).cast());
            llama2_sampler_free(sampler);
            status
        };
        if let Some(panic) = receiver.panic { resume_unwind(panic) }
        check(status)
    }

    /// 201 positions, prompt included: llama2.c's `run -n 200`, which the golden stories were made like.
    pub fn story(&mut self, model: &Model, prompt: &str) -> Result<String, Failure> {
        self.reset()?;
        let tokens = model.tokenize(prompt)?;
        let mut text = prompt.to_string();
        self.generate(&tokens, 201 - tokens.len(), |piece| { text += piece; true })?;
        Ok(text)
    }
}

/// By the bare handle: what the borrow checker would not let happen.
pub fn reset(context: usize) -> Result<(), Failure> { check(unsafe { llama2_context_reset(context) }) }
