import { chmodSync, copyFileSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isReference, kindOf } from '../../../keys/signers/reference.ts'
import { readReference, writeReference } from '../../../keys/signers/stored.ts'
import { exampleSigner } from '../../support/signers.ts'
import { openSigning } from '../../support/signing.ts'

await t.test('a reference is kept beside the key files', async (t) => {
  const keys = openSigning(t)
  const reference = exampleSigner(t, 'ed25519')
  const file = await keys.generate({ algorithm: 'ed25519', name: 'in a file', encrypted: false })
  const kept = await keys.importReference(reference, 'elsewhere')

  await t.test('readable for its owner alone, and without a secret', async (t) => {
    const path = join(keys.dir, `${kept.id}.ref`)
    t.equal(statSync(path).mode & 0o777, 0o400)
    const text = readFileSync(path, 'utf8')
    t.notMatch(text, /PRIVATE/)
    t.match(text, `signer: ${reference}\n`)
    const read = readReference(text, path)
    t.match(read, kept)
    t.equal(writeReference(read), text)
  })
  await t.test('and listed among them', async (t) => {
    t.same((await keys.list()).map(({ id }) => id).toSorted(), [file.id, kept.id].toSorted())
    t.same((await keys.index()).map(({ id }) => id).toSorted(), [file.id, kept.id].toSorted())
  })
  await t.test('and found by id, the beginning of one, and name', async (t) => {
    for (const wanted of [kept.id, kept.id.slice(0, 6), 'elsewhere']) t.equal((await keys.find(wanted)).id, kept.id)
    t.equal((await keys.find('in a file')).id, file.id)
    t.match(await keys.exportPublic('elsewhere'), /BEGIN PUBLIC KEY/)
    await t.rejects(keys.find('nobody'), { code: 'KEY_NOT_FOUND' })
  })
  await t.test('and says that its private half is not here', async (t) => {
    await t.rejects(keys.exportPrivate('elsewhere', 'none'), { code: 'KEY_ELSEWHERE' })
    await t.rejects(keys.exportShares('elsewhere', { threshold: 2, shares: 3 }), { code: 'KEY_ELSEWHERE' })
    await t.rejects(keys.passwd('elsewhere', 'none'), { code: 'KEY_ELSEWHERE' })
  })
  await t.test('and is kept once', async (t) => {
    await t.rejects(keys.importReference(reference, 'again'), { code: 'KEY_EXISTS' })
    t.equal((await keys.list()).length, 2)
  })
  await t.test('and a name that a file has too is nobody’s', async (t) => {
    const other = await keys.importReference(exampleSigner(t, 'ed25519'), 'in a file')
    await t.rejects(keys.open('in a file'), { code: 'KEY_AMBIGUOUS' })
    const twin = await keys.generate({ algorithm: 'ed25519', name: 'in a file', encrypted: false })
    await t.rejects(keys.open('in a file'), { code: 'KEY_AMBIGUOUS' })
    await keys.remove(twin.id)
    t.equal((await keys.remove(other.id)).id, other.id)
    t.equal((await keys.find('in a file')).id, file.id)
  })
  await t.test('and removed alone', async (t) => {
    await keys.remove('elsewhere')
    t.same(readdirSync(keys.dir), [`${file.id}.pem`])
    t.equal((await keys.find(reference)).id, kept.id, 'the key itself is where it was')
  })
})

await t.test('what somebody did to a kept reference is seen', async (t) => {
  const keys = openSigning(t)
  const kept = await keys.importReference(exampleSigner(t, 'ed25519'), 'release')
  const other = await keys.find(exampleSigner(t, 'ed25519'))
  const path = join(keys.dir, `${kept.id}.ref`)
  const text = readFileSync(path, 'utf8')
  const CASES: Record<string, string> = {
    'a line more': `${text}more: 1\n`,
    'a line less': text.replace(/^asks: .*\n/m, ''),
    'a second signer': text.replace('signer: ', 'signer: exec:/bin/true\nsigner: '),
    'a signer of an unknown kind': text.replace(/^signer: .*/m, 'signer: sh:rm -rf /'),
    'another id': text.replace(kept.id, other.id),
    'another public key': text.replace(/^public: .*/m, `public: ${Buffer.from(other.public.spki).toString('base64')}`),
    CRLF: text.replaceAll('\n', '\r\n'),
    nothing: '',
  }
  for (const [name, changed] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      chmodSync(path, 0o600)
      writeFileSync(path, changed)
      chmodSync(path, 0o400)
      await t.rejects(keys.list(), { name: 'KeyError', code: /KEY_MALFORMED|SIGNER_MALFORMED/ })
      await t.rejects(keys.open('release'), { name: 'KeyError' })
      const file = await keys.generate({ algorithm: 'ed25519', encrypted: false })
      t.equal((await keys.find(file.id)).id, file.id, 'and keeps nobody from the others')
      await keys.remove(file.id)
    })
  }
  await t.test('another key’s name', async (t) => {
    chmodSync(path, 0o600)
    writeFileSync(path, text)
    chmodSync(path, 0o400)
    const wrong = join(keys.dir, `${other.id}.ref`)
    copyFileSync(path, wrong)
    await t.rejects(keys.list(), { code: 'KEY_MALFORMED', message: /it holds the key/ })
    t.equal((await keys.find('release')).id, kept.id)
    rmSync(wrong, { force: true })
  })
  await t.test('looser modes', async (t) => {
    chmodSync(path, 0o644)
    await t.rejects(keys.open('release'), { code: 'KEY_PERMISSIONS' })
  })
})

await t.test('a text says whether it is a reference', async (t) => {
  for (const text of ['ssh:x', 'pkcs11:', 'exec:/x']) t.ok(isReference(text), text)
  for (const text of ['4f0a', 'my key', './ssh:x', 'SSH:x', 'https://x']) t.notOk(isReference(text), text)
  t.throws(() => kindOf(`ssh:${'a'.repeat(2048)}`), { code: 'SIGNER_MALFORMED' })
  t.throws(() => kindOf('ssh:a\nb'), { code: 'SIGNER_MALFORMED' })
  t.throws(() => kindOf('ftp:a'), { code: 'SIGNER_MALFORMED' })
})
