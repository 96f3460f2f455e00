import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const TALLY = fileURLToPath(new URL('../../scripts/tally.mjs', import.meta.url))

type Case = { readonly stream: string; readonly last: string; readonly status: number; readonly says?: RegExp }

const CASES: Record<string, Case> = {
  'all passed': {
    stream: 'TAP version 14\nok 1 - test/a.test.ts # time=5ms\n\n1..1\n# { total: 3, pass: 3 }\n# time=9ms\n',
    last: '3 passed, 0 failed',
    status: 0,
    says: /^ok test\/a\.test\.ts/m,
  },
  'one failed: its whole text is shown': {
    stream:
      '    not ok 1 - adds\n      why: 1 is 2\nnot ok 1 - test/a.test.ts\n1..1\n# { total: 4, pass: 2, fail: 2 }\n',
    last: '2 passed, 2 failed',
    status: 1,
    says: /why: 1 is 2/,
  },
  'a skip is told with its reason': {
    stream: '    ok 1 - pulls # SKIP no engine\nok 1 - test/a.test.ts\n1..1\n# { total: 2, pass: 1, skip: 1 }\n',
    last: '1 passed, 0 failed',
    status: 0,
    says: /SKIPPED: pulls: no engine/,
  },
  'everything was skipped': {
    stream: 'ok 1 - test/a.test.ts # SKIP no engine\n1..1\n# { total: 1, skip: 1 }\n',
    last: '0 passed, 0 failed',
    status: 1,
  },
  'no test at all': { stream: '', last: '0 passed, 0 failed', status: 1 },
  'tap ended in the middle': {
    stream: 'ok 1 - test/a.test.ts\n    ok 1 - half of\n',
    last: '0 passed, 0 failed',
    status: 1,
    says: /ended without a count/,
  },
}

for (const [name, { stream, last, status, says }] of Object.entries(CASES)) {
  await t.test(name, async (t) => {
    const child = spawn(process.execPath, [TALLY], { stdio: ['pipe', 'pipe', 'inherit'] })
    const closed = once(child, 'close')
    child.stdin.end(stream)
    const output = await text(child.stdout)
    await closed
    t.equal(output.trimEnd().split('\n').at(-1), last)
    t.equal(child.exitCode, status)
    if (says !== undefined) t.match(output, says)
  })
}
