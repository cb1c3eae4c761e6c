// Tells a story: node story.js MODEL PROMPT. ADDON names the built addon.
const llama2 = require(process.env.ADDON)
const [model, prompt] = process.argv.slice(2)

try {
  process.stdout.write(prompt)
  llama2.tell(llama2.load(model), prompt, 0, text => process.stdout.write(text))
  process.stdout.write('\n')
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
