/** Commands in an order that nobody thought of: drawn by a seed, and given to `notary` beside both servers in step. */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { constantFrom, oneof, sample, tuple } from 'fast-check'
import type { Arbitrary } from 'fast-check'
import t from 'tap'
import { openNotaryTown, startOurs, whyNotNotary } from '../support/notary-town.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { runner } from '../support/side-by-side.ts'

t.setTimeout(300_000) // some hundred runs of programs
const skip = (await whyNotNotary()) ?? (await whyNoNotaryServer()) ?? false

const SEED = 3
const STEPS = 45

/** `d` has the owner's keys and a cache of their own; `c` only reads, and seldom, so that it is many versions behind. */
const BEGINNING = `
  a: init -p GUN
  a: key rotate GUN snapshot -r
  a: delegation add -p GUN targets/releases ALICE --all-paths
  a: delegation add -p GUN targets/qa ALICE --paths v --paths a/
  a: add -p GUN v0 FILE -r targets/releases
  c: list GUN`
const END = `
  a: list GUN
  c: list GUN
  fresh: list GUN
  fresh: delegation list GUN`

const oneOf = (...choices: readonly string[]) => constantFrom(...choices)
const words = (...parts: readonly Arbitrary<string>[]) => tuple(...parts).map((drawn) => drawn.join(' '))

const writer = oneOf('a:', 'a:', 'b:', 'd:')
const owner = oneOf('a:', 'a:', 'd:')
const anybody = oneOf('a:', 'b:', 'c:', 'd:')
const tag = oneOf('GUN v0', 'GUN v1', 'GUN v2', 'GUN a/x')
const file = oneOf('FILE', 'OTHER')
const role = oneOf('-r targets', '-r targets', '-r targets/releases', '-r targets/qa', '-r targets/releases/sub')

/**
 * Not among them: what we decided to do otherwise, after which both may differ. Delegating a role again that was
 * removed, and taking all keys from a role that has a file.
 */
const COMMAND = oneof(
  { weight: 8, arbitrary: words(writer, oneOf('add -p', 'add -p', 'add'), tag, file, role) },
  { weight: 3, arbitrary: words(writer, oneOf('remove -p', 'remove'), tag, role) },
  { weight: 3, arbitrary: words(anybody, oneOf('publish', 'status', 'reset --all'), oneOf('GUN')) },
  { weight: 4, arbitrary: words(anybody, oneOf('list', 'delegation list'), oneOf('GUN')) },
  { weight: 2, arbitrary: words(anybody, oneOf('lookup', 'verify -q -i FILE'), tag) },
  {
    weight: 3,
    arbitrary: words(
      owner,
      oneOf('delegation add -p GUN', 'delegation add GUN'),
      oneOf('targets/releases', 'targets/qa', 'targets/releases/sub'),
      oneOf('ALICE', 'BOB', 'ALICE BOB'),
      oneOf('--all-paths', '--paths v', '--paths a/'),
    ),
  },
  { weight: 2, arbitrary: words(owner, oneOf('witness -p GUN'), oneOf('targets', 'targets/qa', 'targets/releases')) },
  {
    weight: 5,
    arbitrary: words(
      owner,
      oneOf('key rotate GUN'),
      oneOf('targets', 'snapshot', 'snapshot -r', 'timestamp -r', 'root yes'),
    ),
  },
  { weight: 1, arbitrary: words(oneOf('b:', 'd:'), oneOf('delete GUN')) },
)

const linesOf = (script: string) => script.trim().split(/\s*\n\s*/)

await t.test(`${STEPS} commands that seed ${SEED} draws`, { skip }, async (t) => {
  const [theirs, ours] = [await openNotaryTown(t, startNotaryServer), await openNotaryTown(t, startOurs)]
  const run = [await runner(theirs), await runner(ours)] as const
  const step = async (line: string) => {
    const [expected, got] = await Promise.all([run[0](line), run[1](line)])
    t.same(got, expected, line)
    return got
  }
  for (const line of linesOf(BEGINNING)) await step(line)
  for (const { user } of [theirs, ours]) {
    cpSync(join(user('a').dir, 'private'), join(user('d').dir, 'private'), { recursive: true })
  }
  for (const line of sample(COMMAND, { seed: SEED, numRuns: STEPS })) {
    const { code } = await step(line)
    // What could not be published would stand in the way of everything after it.
    if (code !== 0) await step(`${line.slice(0, 2)} reset GUN --all`)
  }
  for (const line of linesOf(END)) await step(line)
})
