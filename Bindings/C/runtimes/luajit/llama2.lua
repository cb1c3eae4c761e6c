-- A small binding by LuaJIT's ffi, which reads the header as declarations.sh writes it, after the preprocessor. DECLARATIONS
-- names that file, LIBRARY the library.
local ffi = require "ffi"
local file = assert(io.open(assert(os.getenv "DECLARATIONS")))
ffi.cdef(file:read "*a")
file:close()
local C = ffi.load(os.getenv "LIBRARY" or "llama2swift")

local M = {C = C}

-- One thread has one last error, and Lua runs on one: a failure becomes error{status=, sentence=}.
local function check(status)
  if status ~= C.LLAMA2_OK then
    error(setmetatable({status = status, sentence = ffi.string(C.llama2_last_error())}, {__tostring = function(e) return e.sentence end}))
  end
end
M.check = check

-- A struct with all defaults. The _init of C are macros, which do not come here; the functions of these names state the size of
-- the struct's first version.
local function defaults(kind)
  local options = ffi.new(kind)
  check(C.llama2_struct_init(options, ffi.sizeof(kind)))
  return options
end
M.defaults = defaults

-- ffi.gc frees a handle when nobody has it any more; what was made from a model keeps what it needs.
local function handle(kind, free, create, ...)
  local out = ffi.new(kind .. "*[1]")
  check(create(out, ...))
  return ffi.gc(out[0], free)
end

function M.load(path)
  return handle("llama2_model", C.llama2_model_free, function(out) return C.llama2_model_load(path, nil, out, nil, 0) end)
end

-- The cache is in F32 here, so that stories are the golden ones, which were made in float64.
function M.context(model, threads)
  local options = defaults "llama2_context_options"
  options.flags, options.threads = C.LLAMA2_CONTEXT_KV_F32, threads
  return handle("llama2_context", C.llama2_context_free, function(out) return C.llama2_context_create(model, options, out, nil, 0) end)
end

function M.greedy()
  local options = defaults "llama2_sampler_options"
  options.flags = C.LLAMA2_SAMPLER_GREEDY
  return handle("llama2_sampler", C.llama2_sampler_free, function(out) return C.llama2_sampler_create(options, out, nil, 0) end)
end

-- Tokens (an int32_t array) and their number. #text + 2: never more than the bytes, BOS and a leading space.
function M.tokenize(model, text)
  local tokens, count = ffi.new("int32_t[?]", #text + 2), ffi.new "size_t[1]"
  check(C.llama2_tokenize(model, text, #text, C.LLAMA2_TOKENIZE_DEFAULT_BOS, tokens, #text + 2, count))
  return tokens, tonumber(count[0])
end

-- A callback takes one of a few hundred places until it is freed; so there is one for all, and it finds its function here.
-- An error must not fly through C: it is kept, and thrown again when the library has returned.
local receive, thrown
local callback = ffi.cast("llama2_piece_callback", function(piece, length)
  local fine, wanted = pcall(receive, ffi.string(piece, length))
  if not fine then thrown = {wanted} end
  return fine and wanted and 0 or 1
end)

function M.receive_with(piece) receive = piece end

-- Machine code may not call C that calls Lua back ("bad callback"): this call is interpreted, whatever is hot around it.
function M.call(context, sampler, options) return C.llama2_generate(context, sampler, options, callback, nil) end
jit.off(M.call)

-- Greedy; `piece` says whether it wants more. May be called again from inside `piece`, with another context.
function M.generate(context, tokens, count, max_tokens, piece)
  local sampler, options = M.greedy(), defaults "llama2_generate_options"
  options.prompt, options.prompt_count, options.max_tokens = tokens, count, max_tokens -- `tokens` is kept alive by the caller
  local before = receive
  receive = piece
  local status = M.call(context, sampler, options)
  receive = before
  local e = thrown
  thrown = nil
  if e then error(e[1], 0) end
  check(status)
end

-- 201 positions, prompt included: llama2.c's `run -n 200`, which the golden stories were made like.
function M.story(context, model, prompt, write)
  check(C.llama2_context_reset(context))
  local tokens, count = M.tokenize(model, prompt)
  write(prompt)
  M.generate(context, tokens, count, 201 - count, function(piece) write(piece) return true end)
end

return M
