-- What is hard in LuaJIT: callbacks from hot code, errors in them, and the collector. luajit hard.lua MODEL
package.path = arg[0]:match "^(.-)[^/]*$" .. "?.lua;" .. package.path
local ffi = require "ffi"
local llama2 = require "llama2"
local C, prompt = llama2.C, "Once upon a time"
local model = llama2.load(arg[1])

local function tell(context)
  local pieces = {}
  llama2.story(context, model, prompt, function(text) pieces[#pieces + 1] = text end)
  return table.concat(pieces)
end

-- Such a call would be compiled, and end the program when it does call back: "bad callback". Must be the first of all:
-- LuaJIT gives up compiling a call that calls back often.
local function a_call_that_called_nobody_back_is_not_compiled()
  local context, sampler, options = llama2.context(model, 1), llama2.greedy(), llama2.defaults "llama2_generate_options"
  local given, calls, refused = ffi.new "int32_t[1001]", 0, 0
  options.prompt_count, options.max_tokens = 1, 1
  llama2.receive_with(function() calls = calls + 1 return true end)
  for i = 1, 1000 do given[i] = i <= 900 and 512 or 403 end -- 512 is no token
  for i = 1, 1000 do -- no branch depends on i: one path, the compiled one
    options.prompt = given + i
    C.llama2_context_reset(context)
    refused = refused + llama2.call(context, sampler, options)
  end
  assert(calls == 100 and refused == 900 * C.LLAMA2_E_INVALID_TOKEN)
end

local function a_hot_loop_makes_more_callbacks_than_there_are_places_for(expected)
  local context, told = llama2.context(model, 1), 0
  for _ = 1, 20 do
    assert(tell(context) == expected)
    told = told + 1
  end
  local calls, tokens, count = 0, llama2.tokenize(model, prompt)
  for _ = 1, 1000 do -- more callbacks than there are places for them
    llama2.check(C.llama2_context_reset(context))
    llama2.generate(context, tokens, count, 1, function() calls = calls + 1 return false end)
  end
  assert(calls == 1000)
  return told, calls
end

local function an_error_in_a_callback_comes_out_and_the_context_lives(expected)
  local context = llama2.context(model, 2)
  local tokens, count = llama2.tokenize(model, prompt)
  for i = 0, 49 do
    llama2.check(C.llama2_context_reset(context))
    local pieces = 0
    local fine, number = pcall(llama2.generate, context, tokens, count, 20, function()
      pieces = pieces + 1
      if pieces > i % 10 then error(pieces, 0) end
      return true
    end)
    assert(not fine and number == i % 10 + 1)
  end
  assert(tell(context) == expected)
  return 50
end

local function contexts_in_coroutines_take_turns_inside_callbacks(expected)
  local outer, inner, stories = llama2.context(model, 1), llama2.context(model, 2), 0
  local tokens, count = llama2.tokenize(model, prompt)
  llama2.generate(outer, tokens, count, 5, function()
    assert(C.llama2_context_reset(outer) == C.LLAMA2_E_BUSY)
    local story = coroutine.wrap(function() return tell(inner) end)()
    assert(story == expected)
    stories = stories + 1
    return true
  end)
  assert(stories > 0)
  return stories
end

local function handles_are_freed_by_the_collector(expected)
  local freed = {}
  for i = 1, 100 do
    local context = llama2.context(model, 2)
    freed[i] = tonumber(ffi.cast("uintptr_t", context))
  end
  collectgarbage() collectgarbage()
  for _, id in ipairs(freed) do
    assert(C.llama2_context_reset(ffi.cast("llama2_context *", id)) == C.LLAMA2_E_BAD_HANDLE)
  end
  local context = llama2.context(model, 1)
  model = nil -- the context keeps what it needs
  collectgarbage() collectgarbage()
  local token = ffi.new("int32_t[1]", 1)
  llama2.check(C.llama2_eval(context, token, 1))
  return #freed
end

a_call_that_called_nobody_back_is_not_compiled()
local expected = tell(llama2.context(model, 1))
local told, calls = a_hot_loop_makes_more_callbacks_than_there_are_places_for(expected)
local errors = an_error_in_a_callback_comes_out_and_the_context_lives(expected)
local inside = contexts_in_coroutines_take_turns_inside_callbacks(expected)
local freed = handles_are_freed_by_the_collector(expected)
print(("%d stories and %d callbacks from a hot loop, %d stories inside callbacks; %d errors came out of callbacks; " ..
  "the collector freed %d contexts"):format(told, calls, inside, errors, freed))
