/** What is refused before the old server is asked, and before a key is taken in. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tagseal } from '../../support/cli.ts'
import { privateFolder } from '../../support/secrets.ts'

const dir = privateFolder(t)
const noCertificate = join(dir, 'server.key')
writeFileSync(noCertificate, '-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n')

const REFUSED: Record<string, { readonly args: readonly string[]; readonly says: RegExp }> = {
  'the first digits of a key id': {
    args: ['--pin', '6d9a0eda1a18'],
    says: /64 digits \(USAGE\)\nhint: notary key list/,
  },
  'a key id with a digit too many': { args: ['--pin', 'a'.repeat(65)], says: /64 digits \(USAGE\)/ },
  'an authority in a file that is not there': {
    args: ['--tofu', '--from-ca', join(dir, 'nowhere')],
    says: /nowhere cannot be read.*\(FILE_UNREADABLE\)/,
  },
  'a key in place of the authority': {
    args: ['--tofu', '--from-ca', noCertificate],
    says: /server\.key cannot be used: there is no certificate.*\(FILE_MALFORMED\)/,
  },
}

for (const [name, { args, says }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, async (t) => {
    const env = { TAGSEAL_HOME: join(dir, 'home'), HOME: dir, TAGSEAL_SERVER: 'http://127.0.0.1:1' }
    const ran = await tagseal(['import', 'notary', 'x.io/a', '--from', 'https://127.0.0.1:1', ...args], { env })
    t.match(ran, { code: 2, stderr: says })
  })
}

await t.test('shows a pin in its help that it would take', async (t) => {
  const { stdout } = await tagseal(['import', 'notary', '--help'])
  t.match(stdout, /--pin [0-9a-f]{64}$/m)
})
