/** Whoever answers first wants to be trusted for it. Nobody is, unless a pin says so or trust on first use was asked for. */
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { codeOf, tagseal } from '../support/cli.ts'
import { openLab, REPOSITORY } from '../support/attack-lab.ts'
import { keyId } from '../../tuf/index.ts'
import { signingKey } from '../support/signing-key.ts'
import { Simulator } from '../support/simulator.ts'

async function stranger(t: Test) {
  const lab = await openLab()
  t.teardown(lab.close)
  const home = join(lab.folder, 'stranger')
  await mkdir(home)
  const env = { TAGSEAL_HOME: home, HOME: home, TAGSEAL_SERVER: lab.url }
  return { lab, home, run: (...args: readonly string[]) => tagseal(args, { env }) }
}

await t.test('without a pin the command line asks nobody', async (t) => {
  const { lab, home, run } = await stranger(t)
  let asked = 0
  lab.interfere = () => ++asked < 0
  const ran = await run('verify', `${REPOSITORY}:1.0`)
  t.same([ran.code, codeOf(ran), ran.stdout, asked], [1, 'NOT_PINNED', '', 0])
  t.same(await readdir(home), [], 'nothing was stored')
})

const FILES: Record<string, { text: string; code: string; exit: number }> = {
  'that is empty': { text: '', code: 'CONFIG_MALFORMED', exit: 2 },
  'with no pins': { text: '{"version":1,"pins":[]}', code: 'NOT_PINNED', exit: 1 },
  'that pins nobody': { text: '{"version":1,"pins":[{"pattern":"**"}]}', code: 'CONFIG_MALFORMED', exit: 2 },
  'that pins no keys': {
    text: '{"version":1,"pins":[{"pattern":"**","keys":[],"threshold":0}]}',
    code: 'CONFIG_MALFORMED',
    exit: 2,
  },
  'that says tofu false': {
    text: '{"version":1,"pins":[{"pattern":"**","tofu":false}]}',
    code: 'CONFIG_MALFORMED',
    exit: 2,
  },
  'with two pins in one': {
    text: `{"version":1,"pins":[{"pattern":"**","tofu":true,"keys":["${'0'.repeat(64)}"]}]}`,
    code: 'CONFIG_MALFORMED',
    exit: 2,
  },
  'with a member twice': {
    text: `{"version":1,"pins":[{"pattern":"${REPOSITORY}","tofu":true,"tofu":true}]}`,
    code: 'CONFIG_MALFORMED',
    exit: 2,
  },
}
for (const [name, { text, code, exit }] of Object.entries(FILES)) {
  await t.test(`a trust file ${name} trusts nobody`, async (t) => {
    const { home, run } = await stranger(t)
    await writeFile(join(home, 'trust.json'), text)
    const ran = await run('verify', `${REPOSITORY}:1.0`)
    t.same([ran.code, codeOf(ran), ran.stdout], [exit, code, ''])
    t.same(await readdir(home), ['trust.json'])
  })
}

await t.test('a root that the pinned keys did not sign is no start', async (t) => {
  const { lab, run } = await stranger(t)
  const pin = { kind: 'keys', keyids: [keyId('0'.repeat(64)), signingKey().id], threshold: 1 } as const
  await t.rejects(
    lab.library({ pin }),
    { code: 'REPOSITORY_MISMATCH' },
    'one that names no repository is not even held against keys',
  )
  await t.rejects(lab.kept('library'), { code: 'ENOENT' })
  t.equal((await run('trust', 'add', REPOSITORY, '--key', signingKey().id)).code, 0)
  const ran = await run('verify', `${REPOSITORY}:1.0`)
  t.same([ran.code, ran.stdout], [1, ''])
})

await t.test('trust on first use was asked for by name: afterwards nobody else is trusted', async (t) => {
  const { lab } = await stranger(t)
  await lab.library({ pin: { kind: 'tofu' } })
  const kept = await lab.kept('library')
  const thief = new Simulator()
  thief.now = Date.now()
  for (let i = 0; i < 3; i++) thief.publishRoot()
  thief.release()
  lab.simulator.files.clear()
  for (const [name, bytes] of thief.files) lab.simulator.files.set(name, bytes)
  await t.rejects(lab.library({ pin: { kind: 'tofu' } }), { code: 'THRESHOLD' })
  t.same(await lab.kept('library'), kept)
})
