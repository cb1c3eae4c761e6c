-- Tells a story: luajit story.lua MODEL PROMPT
package.path = arg[0]:match "^(.-)[^/]*$" .. "?.lua;" .. package.path
local llama2 = require "llama2"

local fine, problem = pcall(function()
  local model = llama2.load(arg[1])
  llama2.story(llama2.context(model, 0), model, arg[2], function(text) io.write(text) io.flush() end)
  print()
end)
if not fine then
  io.stderr:write(tostring(problem), "\n")
  os.exit(1)
end
