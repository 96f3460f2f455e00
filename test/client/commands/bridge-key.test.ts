import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { codeOf } from '../../support/cli.ts'
import { tagsealHere } from '../../support/in-process.ts'
import { openssl, privateFolder } from '../../support/secrets.ts'

const dir = privateFolder(t)
const env = { TAGSEAL_HOME: join(dir, 'home'), HOME: dir }
const pem = (curve: string) => openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', `ec_paramgen_curve:${curve}`])
const at = (name: string, content: string, mode = 0o600) => {
  writeFileSync(join(dir, name), content)
  chmodSync(join(dir, name), mode)
  return join(dir, name)
}
const file = at('bridge.pem', pem('P-256'))
const print = async (...keys: readonly string[]) =>
  await tagsealHere(['--json', 'gateway', '--print-bridge-key', ...keys.flatMap((key) => ['--bridge-key', key])], {
    env,
  })

await t.test('the public half is printed as openssl prints it, and no policy is needed for that', async (t) => {
  const ran = await tagsealHere(['gateway', '--bridge-key', file, '--print-bridge-key'], { env })
  t.same([ran.code, ran.stdout], [0, openssl(['pkey', '-in', file, '-pubout'])], ran.stderr)
})

await t.test('keys are named as everywhere: by id, by name, by a reference, several at once', async (t) => {
  const made = await tagsealHere(
    ['key', 'generate', '--algorithm', 'ecdsa-p256', '--name', 'bridge', '--no-passphrase'],
    { env },
  )
  const id = made.stdout.trim()
  const exported = await tagsealHere(['key', 'export', id], { env })
  const kept = join(dir, 'home', 'keys', `${id}.pem`)
  const ran = await print(id, 'bridge', kept, file)
  const own = openssl(['pkey', '-in', file, '-pubout'])
  t.same(JSON.parse(ran.stdout), { keys: [exported.stdout, exported.stdout, exported.stdout, own] }, ran.stderr)
})

const REFUSED: Record<string, { readonly keys: readonly string[]; readonly code: string; readonly exit: number }> = {
  'no key at all': { keys: [], code: 'USAGE', exit: 2 },
  'a key of another curve': { keys: [at('384.pem', pem('P-384'))], code: 'USAGE', exit: 2 },
  'an ed25519 key': { keys: [at('ed.pem', openssl(['genpkey', '-algorithm', 'ed25519']))], code: 'USAGE', exit: 2 },
  'one of two that engines do not take': { keys: [file, join(dir, '384.pem')], code: 'USAGE', exit: 2 },
  'a key that everybody can read': { keys: [at('open.pem', pem('P-256'), 0o644)], code: 'KEY_PERMISSIONS', exit: 1 },
  'a file that is not there': { keys: [join(dir, 'none.pem')], code: 'FILE_UNREADABLE', exit: 2 },
  'a name that no key has': { keys: ['nobody'], code: 'KEY_NOT_FOUND', exit: 2 },
  'a public key': { keys: [at('pub.pem', openssl(['pkey', '-in', file, '-pubout']), 0o644)], code: 'USAGE', exit: 2 },
  'an agent that is not there': { keys: ['ssh:nobody'], code: 'SIGNER_UNAVAILABLE', exit: 3 },
}
for (const [name, { keys, code, exit }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const ran = await print(...keys)
    t.same([ran.code, codeOf(ran)], [exit, code], ran.stderr)
    t.notMatch(ran.stdout + ran.stderr, /PRIVATE KEY/)
  })
}
