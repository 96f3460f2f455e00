/** The same commands of the unmodified `notary` against `notary-server` and against us: each ends and prints the same. */
import t from 'tap'
import { openNotaryTown, startOurs, whyNotNotary } from '../support/notary-town.ts'
import { startNotaryServer, whyNoNotaryServer } from '../support/notary-server.ts'
import { runner } from '../support/side-by-side.ts'

const skip = (await whyNotNotary()) ?? (await whyNoNotaryServer()) ?? false

/** A line is a person and a command; `yes` at its end is what they answer. FILE and ALICE, BOB stand for their paths. */
const SCRIPTS: Record<string, string> = {
  'a first hour': `
    a: init GUN
    a: list GUN
    a: status GUN
    a: add GUN v1 FILE
    a: add GUN v1 OTHER
    a: publish GUN
    a: publish GUN
    b: list GUN
    b: lookup GUN v1
    b: lookup GUN v9
    b: add -p GUN v2 FILE
    b: status GUN
    b: publish GUN
    b: reset GUN --all
    b: publish GUN
    b: remove -p GUN v1
    b: list GUN
    b: verify GUN v1 -i OTHER
    b: verify GUN v1 -i FILE`,
  'keys that move before there is anything': `
    a: init GUN
    a: key rotate GUN timestamp -r
    a: key rotate GUN snapshot -r
    a: key rotate GUN targets
    a: key rotate GUN root yes
    b: list GUN
    a: add -p GUN v1 FILE
    b: list GUN
    a: key rotate GUN snapshot
    b: list GUN
    a: init GUN
    a: init -p GUN`,
  'roles without keys, paths and signatures': `
    a: delegation list GUN
    a: delegation add GUN targets/releases ALICE
    a: init -p GUN
    a: delegation add -p GUN targets/releases ALICE
    a: add -p GUN v1 FILE --roles targets/releases
    a: reset GUN --all
    a: delegation add -p GUN targets/releases --all-paths
    a: add -p GUN v1 FILE --roles targets/releases
    b: list GUN
    b: list GUN -r targets/releases
    b: list GUN -r targets/nosuch
    a: delegation add -p GUN targets/releases/nightly BOB --paths nightly/
    a: add -p GUN nightly/1 FILE --roles targets/releases/nightly
    a: reset GUN --all
    a: delegation add -p GUN targets/a/b BOB --all-paths
    a: reset GUN --all
    a: delegation add -p GUN releases BOB
    a: delegation add -p GUN targets/UPPER BOB
    a: delegation remove -p GUN targets/releases --paths nosuch -y
    b: delegation list GUN
    a: delegation remove -p GUN targets/nosuch -y
    a: reset GUN --all
    a: witness -p GUN targets/releases
    a: witness -p GUN targets
    b: list GUN`,
  'somebody who is not the owner': `
    a: add -p GUN v1 FILE
    b: list GUN
    b: key rotate GUN snapshot -r
    b: key rotate GUN targets
    b: delegation add -p GUN targets/releases ALICE --all-paths
    b: reset GUN --all
    b: delegation remove -p GUN targets/releases -y
    b: reset GUN --all
    b: witness -p GUN targets
    b: delete GUN
    b: list GUN
    b: delete GUN --remote
    a: list GUN
    b: list GUN`,
  'names that are none': `
    a: init
    a: add GUN
    a: list example.com/nothing-here
    a: lookup example.com/nothing-here v1
    a: delegation list example.com/nothing-here
    a: publish example.com/nothing-here
    a: delete example.com/nothing-here --remote
    a: add -p GUN v1 /nowhere
    a: addhash -p GUN v1 5 --sha256 xyz
    a: addhash -p GUN v1 -5 --sha256 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
    a: add -p GUN strange~name(1)@x FILE
    a: add -p GUN a/b/c FILE
    b: list GUN`,
}

for (const [name, script] of Object.entries(SCRIPTS)) {
  await t.test(name, { skip }, async (t) => {
    const [theirs, ours] = [await openNotaryTown(t, startNotaryServer), await openNotaryTown(t, startOurs)]
    const run = [await runner(theirs), await runner(ours)] as const
    for (const line of script.trim().split('\n')) {
      const [expected, got] = [await run[0](line.trim()), await run[1](line.trim())]
      t.same(got, expected, line.trim())
    }
  })
}
