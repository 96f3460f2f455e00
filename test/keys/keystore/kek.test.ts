import { chmodSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Kek } from '../../../keys/kek.ts'
import { loadKek, makeKekFile } from '../../../keys/keystore/kek.ts'
import { randomBytes } from '../../../keys/random.ts'
import { privateFolder } from '../../support/secrets.ts'

const bytes = Buffer.from(randomBytes(32))
const { fingerprint } = new Kek(bytes.subarray(), 'test')

const CONTENT: Record<string, { content: Buffer | string; refused?: true }> = {
  'the bytes themselves': { content: bytes },
  base64: { content: bytes.toString('base64') },
  'base64 and a newline': { content: `${bytes.toString('base64')}\n` },
  hex: { content: `${bytes.toString('hex')}\n` },
  nothing: { content: '', refused: true },
  '31 bytes': { content: bytes.subarray(1), refused: true },
  'base64 of 31 bytes': { content: bytes.subarray(1).toString('base64'), refused: true },
  'base64 of 64 bytes': { content: Buffer.concat([bytes, bytes]).toString('base64'), refused: true },
  'base64 without its padding': { content: bytes.toString('base64').replace('=', ''), refused: true },
  'upper-case hex': { content: bytes.toString('hex').toUpperCase().replace(/^../, 'AB'), refused: true },
  'a word': { content: 'changeme\n', refused: true },
  zeros: { content: Buffer.alloc(32), refused: true },
}
for (const [name, { content, refused }] of Object.entries(CONTENT)) {
  await t.test(`${refused ? 'refuses' : 'reads'} ${name}`, async (t) => {
    const dir = privateFolder(t)
    writeFileSync(join(dir, 'kek'), content, { mode: 0o400 })
    writeFileSync(join(dir, 'tagseal-kek'), content, { mode: 0o400 })
    const sources = {
      'a file': { file: join(dir, 'kek'), env: {} },
      'a credential': { env: { CREDENTIALS_DIRECTORY: dir } },
      'the fallback': { env: {}, fallback: join(dir, 'kek') },
    }
    for (const [source, options] of Object.entries(sources)) {
      if (refused) await t.rejects(loadKek(options), { name: 'KeyError', code: 'KEK_MALFORMED' }, source)
      else t.equal((await loadKek(options))?.fingerprint, fingerprint, source)
    }
  })
}

await t.test('reads the environment, as text only', async (t) => {
  const from = (text: string) => loadKek({ env: { TAGSEAL_SERVER_KEK: text } })
  t.equal((await from(bytes.toString('base64')))?.fingerprint, fingerprint)
  t.equal((await from(bytes.toString('hex')))?.fingerprint, fingerprint)
  t.equal(await from(''), undefined)
  await t.rejects(from('abcdefghijklmnopqrstuvwxyz012345'), {
    code: 'KEK_MALFORMED',
    detail: { source: 'TAGSEAL_SERVER_KEK' },
  })
})

await t.test('takes the file named, then the credential, then the environment, then the fallback', async (t) => {
  const dir = privateFolder(t)
  const [file, credential, env, fallback] = Array.from({ length: 4 }, () =>
    Buffer.from(randomBytes(32)).toString('base64'),
  )
  const print = (text = '') => new Kek(Buffer.from(text, 'base64'), 'test').fingerprint
  writeFileSync(join(dir, 'kek'), `${file}`, { mode: 0o400 })
  writeFileSync(join(dir, 'tagseal-kek'), `${credential}`, { mode: 0o400 })
  writeFileSync(join(dir, 'fallback'), `${fallback}`, { mode: 0o400 })
  const all = {
    file: join(dir, 'kek'),
    env: { CREDENTIALS_DIRECTORY: dir, TAGSEAL_SERVER_KEK: env },
    fallback: join(dir, 'fallback'),
  }
  t.equal((await loadKek(all))?.fingerprint, print(file))
  const unnamed = { env: all.env, fallback: all.fallback }
  t.equal((await loadKek(unnamed))?.fingerprint, print(credential))
  t.equal(
    (await loadKek({ ...unnamed, env: { ...all.env, CREDENTIALS_DIRECTORY: join(dir, 'x') } }))?.fingerprint,
    print(env),
  )
  t.equal((await loadKek({ env: {}, fallback: all.fallback }))?.fingerprint, print(fallback))
  t.equal(await loadKek({ env: {}, fallback: join(dir, 'none') }), undefined)
  t.equal(await loadKek({ env: {} }), undefined)
  await t.rejects(
    loadKek({ file: join(dir, 'none'), env: all.env }),
    { code: 'KEK_MISSING' },
    'a file that was named must be there',
  )
})

for (const [mode, allowed] of [
  [0o400, true],
  [0o440, true],
  [0o600, true],
  [0o640, true],
  [0o444, false],
  [0o660, false],
  [0o604, false],
] as const) {
  await t.test(
    `${allowed ? 'reads' : 'refuses'} a named file of mode ${mode.toString(8)}, also through a link`,
    async (t) => {
      const dir = privateFolder(t)
      writeFileSync(join(dir, 'kek'), bytes)
      chmodSync(join(dir, 'kek'), mode)
      symlinkSync('kek', join(dir, 'link'))
      for (const name of ['kek', 'link']) {
        const load = () => loadKek({ file: join(dir, name), env: {} })
        if (allowed) t.equal((await load())?.fingerprint, fingerprint)
        else await t.rejects(load, { name: 'KeyError', code: 'KEY_PERMISSIONS' })
      }
    },
  )
}

await t.test('makes a file of mode 0400 that opens again, and never over another', async (t) => {
  const path = join(privateFolder(t), 'data', 'kek')
  const made = await makeKekFile(path)
  t.equal(statSync(path).mode & 0o777, 0o400)
  t.equal((await loadKek({ env: {}, fallback: path }))?.fingerprint, made.fingerprint)
  const before = readFileSync(path)
  await t.rejects(makeKekFile(path), { code: 'KEY_EXISTS' })
  t.strictSame(readFileSync(path), before)
})

await t.test('says which path the file system refuses, and leaves nothing there', async (t) => {
  const dir = privateFolder(t)
  writeFileSync(join(dir, 'file'), 'no folder')
  const refused = { name: 'KeyError', code: 'KEYSTORE_IO' }
  await t.rejects(loadKek({ env: {}, fallback: join(dir, 'file', 'kek') }), refused, 'to read below a file')
  await t.rejects(makeKekFile(join(dir, 'n'.repeat(300))), refused, 'to give it too long a name')
  await t.rejects(makeKekFile('/proc/kek'), refused, 'to write where nothing can be written')
  t.strictSame(readdirSync(dir), ['file'])
})
