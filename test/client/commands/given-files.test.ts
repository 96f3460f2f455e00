/** What a program that goes on is given and cannot read is told at its start, and not to whoever asks it later. */
import { join } from 'node:path'
import t from 'tap'
import { monotonicNow } from '../../../client/monotonic.ts'
import { codeOf } from '../../support/cli.ts'
import { runInside } from '../../support/run-inside.ts'
import { makeCertificate, whyNoOpenssl } from '../../support/tls.ts'

const skip = (await whyNoOpenssl()) ?? false
const folder = t.testdir({
  'policy.yaml': 'version: 1\nrules: [{ pattern: a.io/x, unsigned: true }]\n',
  'empty.pem': '',
  'no token': 'two words',
  tls: {},
})
const { cert, key, ca } = skip === false ? await makeCertificate(join(folder, 'tls')) : { cert: '', key: '', ca: '' }
const policy = ['--policy', join(folder, 'policy.yaml')]
const PROGRAMS: Record<string, readonly string[]> = {
  gateway: ['gateway', ...policy, '--listen', '127.0.0.1:0', '--cache', join(folder, 'cache')],
  'verifier --serve': ['verifier', '--serve', join(folder, 'agent.sock'), ...policy],
  admission: ['admission', ...policy, '--listen', '127.0.0.1:0', '--tls-cert', cert, '--tls-key', key],
  'policy test': ['policy', 'test', ...policy],
}
const none = join(folder, 'none')
type Given = {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly code?: string
}
const GIVEN: Record<string, Given> = {
  'an authority that is not there': { args: ['--ca', none] },
  'an authority that is not there, by the environment': { env: { TAGSEAL_CA: none } },
  'a file without an authority': { args: ['--ca', join(folder, 'empty.pem')], code: 'FILE_MALFORMED' },
  'a file of a token that is not there': { args: ['--token-file', none] },
  'a file of a token that is not there, by the environment': { env: { TAGSEAL_TOKEN_FILE: none } },
  'a file without a token': { args: ['--token-file', join(folder, 'no token')], code: 'FILE_MALFORMED' },
}

/** One that starts all the same is ended, with 0. */
async function start(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const end = new AbortController()
  const ran = await runInside(argv, {
    env: { TAGSEAL_HOME: join(folder, 'home'), ...env },
    monotonic: monotonicNow,
    signal: end.signal,
    stdout: { write: () => end.abort() },
  })
  return { ...ran, code: codeOf({ ...ran, code: ran.exit }) }
}

for (const [program, argv] of Object.entries(PROGRAMS)) {
  await t.test(program, { skip }, async (t) => {
    for (const [name, { args = [], env, code = 'FILE_UNREADABLE' }] of Object.entries(GIVEN)) {
      await t.test(`does not start with ${name}`, async (t) => {
        t.match(await start([...argv, ...args], env), { exit: 2, code })
      })
    }
    await t.test('starts with what can be read', async (t) => {
      t.match(await start([...argv, '--ca', ca]), { exit: 0, stderr: '' })
    })
  })
}

await t.test('gateway does not start with authorities of registries that are not there', { skip }, async (t) => {
  t.match(await start([...(PROGRAMS['gateway'] ?? []), '--registry-ca', none]), { exit: 2, code: 'FILE_UNREADABLE' })
})
