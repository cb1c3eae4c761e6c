// What is hard in Node: worker threads, an event loop that must stay free, exceptions in callbacks. node --expose-gc hard.js MODEL
const assert = require('assert')
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads')
const llama2 = require(process.env.ADDON)
const prompt = 'Once upon a time'
const story = (model, threads, piece) => prompt + llama2.tell(model, prompt, threads, piece)

// Each worker loads the addon and the model for itself, and tells stories while the others do.
function inWorker() {
  const model = llama2.load(workerData)
  const told = []
  for (let i = 0; i < 3; i++) {
    const pieces = []
    const text = story(model, 1 + i % 2, piece => { pieces.push(piece) })
    assert.equal(prompt + pieces.join(''), text)
    told.push(text)
  }
  parentPort.postMessage(told)
}

const worker = path => new Promise((resolve, reject) => {
  const worker = new Worker(__filename, { workerData: path })
  worker.once('message', resolve)
  worker.once('error', reject)
})

// Stories are told on the pool's threads; timers fire meanwhile. More stories than threads in the pool: some wait.
async function theEventLoopStaysFree(model, expected) {
  let ticks = 0
  const timer = setInterval(() => ticks++, 1)
  const told = await Promise.all(Array.from({ length: 12 }, (_, i) => llama2.tellAsync(model, prompt, 1 + i % 2)))
  clearInterval(timer)
  for (const text of told) assert.equal(prompt + text, expected)
  assert(ticks >= 10, `${ticks} ticks`)
  let blocked = 0
  const other = setInterval(() => blocked++, 1)
  story(model, 1) // the comparison: this one keeps the loop
  assert.equal(blocked, 0)
  clearInterval(other)
  return [told.length, ticks]
}

// The collector (--expose-gc) frees models that nobody has; one whose story is being told stays.
async function aModelLivesAsLongAsItsStories(path, expected) {
  const told = Array.from({ length: 4 }, () => llama2.tellAsync(llama2.load(path), prompt, 1))
  for (let i = 0; i < 20; i++) {
    global.gc()
    await new Promise(resolve => setImmediate(resolve))
  }
  for (const text of await Promise.all(told)) assert.equal(prompt + text, expected)
}

// Terminated in the middle: the callback cannot run any more, the story ends, nothing crashes.
async function workersMayBeTerminatedInTheMiddle(path) {
  const endless = `const llama2 = require(process.env.ADDON), { parentPort, workerData } = require('worker_threads')
    const model = llama2.load(workerData)
    for (let i = 0; i < 4; i++) llama2.tellAsync(model, '${prompt}', 1)
    parentPort.postMessage('begun')
    for (;;) llama2.tell(model, '${prompt}', 1, () => {})`
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(endless, { eval: true, workerData: path })
    await new Promise((resolve, reject) => { worker.once('message', resolve); worker.once('error', reject) })
    await new Promise(resolve => setTimeout(resolve, 10 * i))
    await worker.terminate()
  }
}

function anExceptionInACallbackComesOut(model, expected) {
  for (let i = 0; i < 50; i++) {
    let pieces = 0
    assert.throws(() => story(model, 2, () => { if (pieces++ === i % 10) throw new RangeError(`piece ${pieces}`) }),
      { name: 'RangeError', message: `piece ${i % 10 + 1}` })
    assert.equal(pieces, i % 10 + 1)
  }
  assert(expected.startsWith(story(model, 1, () => false)))
  assert.equal(story(model, 1), expected)
  return 50
}

async function failuresAreErrorsWithSentences(model) {
  assert.throws(() => llama2.load('/no/such/model'), /\/no\/such\/model/)
  assert.throws(() => llama2.tell({}, prompt, 1), TypeError)
  assert.throws(() => llama2.tell(model, prompt, 5000), /5000/)
  await assert.rejects(llama2.tellAsync(model, prompt, 5000), /5000/) // the sentence comes from the other thread
  await assert.rejects(llama2.tellAsync(model, 'word '.repeat(600), 1), /512/)
}

async function main() {
  const path = process.argv[2]
  const model = llama2.load(path)
  const expected = story(model, 1)
  const fromWorkers = (await Promise.all(Array.from({ length: 6 }, () => worker(path)))).flat()
  for (const text of fromWorkers) assert.equal(text, expected)
  const [later, ticks] = await theEventLoopStaysFree(model, expected)
  await aModelLivesAsLongAsItsStories(path, expected)
  await workersMayBeTerminatedInTheMiddle(path)
  const exceptions = anExceptionInACallbackComesOut(model, expected)
  await failuresAreErrorsWithSentences(model)
  console.log(`${fromWorkers.length} stories of 6 workers and ${later} of the thread pool were equal, the event loop ticked ` +
    `${ticks > 99 ? 'over 100' : ticks} times meanwhile; ${exceptions} exceptions came out of callbacks`)
}

if (isMainThread) main().catch(error => { console.error(error); process.exit(1) })
else inWorker()
