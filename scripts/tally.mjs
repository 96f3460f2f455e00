/**
 * Reads tap's stream on stdin: passes on one line for each test file, the whole text of those that failed and every
 * skip with its reason. Ends with `N passed, N failed`, from the count that tap itself closes with.
 *
 * Fails when tap counted a failure, counted nothing, or ended without a count.
 */
import { createInterface } from 'node:readline'

const SKIP = /^\s*ok \d+ - (.*?) # SKIP ?(.*)$/
const FILE_END = /^(ok|not ok) \d+ - (.*)$/
const COUNTS = /^# \{ (total: \d+(?:, \w+: \d+)*) \}$/

/** @type {string[]} */
let block = []
/** @type {Map<string, number> | undefined} */
let counts

for await (const line of createInterface({ input: process.stdin })) {
  const counted = COUNTS.exec(line)
  if (counted?.[1] !== undefined) counts = countsOf(counted[1])
  block.push(line)
  const end = FILE_END.exec(line)
  if (end === null) continue
  printFile(end[1] === 'ok', line)
  block = []
}
printLast()

/** @param {boolean} passed @param {string} line */
function printFile(passed, line) {
  if (!passed) console.log(block.join('\n'))
  else console.log(line.replace(/^ok \d+ - /, 'ok ').replace(/ \{$/, ''))
  if (!passed) return
  for (const each of block) {
    const skip = SKIP.exec(each)
    if (skip !== null) console.log(`   SKIPPED: ${skip[1]}: ${skip[2]}`)
  }
}

function printLast() {
  // What follows the last file: the diagnostics of a failure and tap's own closing lines.
  const passed = counts?.get('pass') ?? 0
  const failed = counts?.get('fail') ?? 0
  if (failed > 0 || counts === undefined) console.log(block.join('\n'))
  if (counts === undefined) console.log('tap ended without a count')
  const skipped = counts?.get('skip') ?? 0
  if (skipped > 0) console.log(`${skipped} skipped, each with its reason above`)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = counts === undefined || failed > 0 || passed === 0 ? 1 : 0
}

/** @param {string} text */
function countsOf(text) {
  return new Map(
    text.split(', ').map((each) => {
      const [name = '', value] = each.split(': ')
      return [name, Number(value)]
    }),
  )
}
