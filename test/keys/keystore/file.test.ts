import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openKeystore } from '../../../keys/keystore/file.ts'
import type { KeyInfo, Keystore } from '../../../keys/keystore/keystore.ts'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { readPem } from '../../../keys/pem.ts'
import { ALGORITHMS, publicMaterial } from '../../../keys/schemes/table.ts'
import type { Signer } from '../../../keys/signer.ts'
import { toTufFields } from '../../../keys/tuf-key.ts'
import { openssl, passphrase, privateFolder } from '../../support/secrets.ts'
import { listed } from '../../support/tuf-key.ts'

const NOON = Date.parse('2026-06-01T12:00:00Z')
const PAYLOAD = new TextEncoder().encode('a payload')

function keystoreIn(dir: string, text = 'correct horse'): Keystore {
  return openKeystore({ dir, passphrase: passphrase(text), clock: () => NOON + 123 })
}

async function signs(signer: Signer, info: KeyInfo): Promise<boolean | undefined> {
  const signature = await signer.sign(PAYLOAD)
  signer.close()
  return nativeSuite.open(listed(toTufFields(info.public)))?.verify(PAYLOAD, signature)
}

const fileOf = (dir: string, info: KeyInfo): string => join(dir, `${info.id}.pem`)

for (const algorithm of ALGORITHMS) {
  for (const encrypted of [true, false]) {
    await t.test(
      `keeps an ${algorithm} key ${encrypted ? 'encrypted' : 'readable'}, as openssl reads it`,
      async (t) => {
        const dir = join(privateFolder(t), 'deep', 'keys')
        const info = await keystoreIn(dir).generate({ algorithm, name: 'release key', encrypted })
        t.match(info, { algorithm, encrypted, name: 'release key', createdAt: NOON })
        const file = fileOf(dir, info)
        t.equal(statSync(dir).mode & 0o777, 0o700)
        t.equal(statSync(file).mode & 0o777, 0o400)
        t.strictSame(readdirSync(dir), [`${info.id}.pem`], 'nothing else remains')

        const another = keystoreIn(dir)
        t.strictSame(await another.list(), [info])
        t.equal(await signs(await another.open(info.id), info), true)

        const pem = openssl(['pkey', '-in', file, '-pubout', ...(encrypted ? ['-passin', 'pass:correct horse'] : [])])
        t.equal(pem, await another.exportPublic(info.id))
        t.strictSame(publicMaterial(readPem(pem, 'PUBLIC KEY')), info.public)
        if (encrypted) t.throws(() => openssl(['pkey', '-in', file, '-noout', '-passin', 'pass:wrong']))
      },
    )
  }
}

await t.test('a passphrase that a person typed is stretched five times', async (t) => {
  const dir = privateFolder(t)
  for (const [origin, passes] of [
    ['typed', 5],
    ['machine', 1],
  ] as const) {
    const info = await openKeystore({ dir, passphrase: passphrase('x', origin) }).generate({
      algorithm: 'ed25519',
      encrypted: true,
    })
    const dump = openssl(['asn1parse', '-in', fileOf(dir, info)])
    t.match(dump, /:scrypt[\s\S]*:4000[\s\S]*INTEGER +:08[\s\S]*INTEGER/)
    t.match(dump, new RegExp(`:08\\n.*:0${passes}\\n`))
    t.match(dump, /:aes-256-cbc/)
  }
})

const FOREIGN: Record<string, { make: (file: string) => void; algorithm: string; encrypted?: boolean }> = {
  'plain PKCS#8 of Ed25519': {
    make: (f) => openssl(['genpkey', '-algorithm', 'ed25519', '-out', f]),
    algorithm: 'ed25519',
  },
  'plain PKCS#8 of P-256': {
    make: (f) => openssl(['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', f]),
    algorithm: 'ecdsa-p256',
  },
  'SEC1 of P-384, with its curve in a block of its own': {
    make: (f) => openssl(['ecparam', '-name', 'secp384r1', '-genkey', '-out', f]),
    algorithm: 'ecdsa-p384',
  },
  'PKCS#1': { make: (f) => openssl(['genrsa', '-traditional', '-out', f, '2048']), algorithm: 'rsa-pss' },
  'PKCS#8 under scrypt': { make: (f) => encryptedBy(f, ['-scrypt']), algorithm: 'ed25519', encrypted: true },
  'PKCS#8 under scrypt with other costs': {
    make: (f) => encryptedBy(f, ['-scrypt', '-scrypt_N', '1024', '-scrypt_r', '4', '-scrypt_p', '3']),
    algorithm: 'ed25519',
    encrypted: true,
  },
  'PKCS#8 under PBKDF2': { make: (f) => encryptedBy(f, ['-v2', 'aes-256-cbc']), algorithm: 'ed25519', encrypted: true },
  'PKCS#8 under PBKDF2 with SHA-512 and AES-128': {
    make: (f) => encryptedBy(f, ['-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512']),
    algorithm: 'ed25519',
    encrypted: true,
  },
  'PKCS#8 under PBKDF2 with SHA-1 and AES-192': {
    make: (f) => encryptedBy(f, ['-v2', 'aes-192-cbc', '-v2prf', 'hmacWithSHA1']),
    algorithm: 'ed25519',
    encrypted: true,
  },
  "SEC1 in OpenSSL's old encryption": {
    make: (f) => oldEncryption(f, '-aes128'),
    algorithm: 'ecdsa-p256',
    encrypted: true,
  },
  'SEC1 under triple DES': { make: (f) => oldEncryption(f, '-des3'), algorithm: 'ecdsa-p256', encrypted: true },
  'PKCS#1 under AES-192': {
    make: (f) => openssl(['genrsa', '-traditional', '-aes192', '-passout', 'pass:theirs', '-out', f, '2048']),
    algorithm: 'rsa-pss',
    encrypted: true,
  },
}

function oldEncryption(file: string, cipher: string): void {
  const plain = openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout'])
  openssl(['ec', cipher, '-passout', 'pass:theirs', '-out', file], plain)
}

function encryptedBy(file: string, how: readonly string[]): void {
  const plain = openssl(['genpkey', '-algorithm', 'ed25519'])
  openssl(['pkcs8', '-topk8', ...how, '-passout', 'pass:theirs', '-out', file], plain)
}

for (const [name, { make, algorithm, encrypted = false }] of Object.entries(FOREIGN)) {
  await t.test(`imports ${name}`, async (t) => {
    const home = privateFolder(t)
    make(join(home, 'foreign.pem'))
    const pem = readFileSync(join(home, 'foreign.pem'), 'utf8')
    const keystore = keystoreIn(join(home, 'keys'))
    const info = await keystore.import({ pem, encrypted: true, ...(encrypted && { passphrase: passphrase('theirs') }) })
    t.match(info, { algorithm, encrypted: true })
    t.equal(await signs(await keystore.open(info.id), info), true)
    const before = readFileSync(fileOf(join(home, 'keys'), info))
    const again = { pem, encrypted: false, ...(encrypted && { passphrase: passphrase('theirs') }) }
    await t.rejects(keystore.import(again), { code: 'KEY_EXISTS' }, 'never over a key that is there')
    t.strictSame(readFileSync(fileOf(join(home, 'keys'), info)), before)
  })
}

const NO_IMPORT: Record<string, { pem: () => string; code: string }> = {
  'an empty text': { pem: () => '', code: 'KEY_MALFORMED' },
  'a public key': {
    pem: () => openssl(['pkey', '-pubout'], openssl(['genpkey', '-algorithm', 'ed25519'])),
    code: 'KEY_MALFORMED',
  },
  'two private keys': { pem: () => openssl(['genpkey', '-algorithm', 'ed25519']).repeat(2), code: 'KEY_MALFORMED' },
  'an X25519 key': { pem: () => openssl(['genpkey', '-algorithm', 'x25519']), code: 'KEY_MALFORMED' },
  'a key on a curve that nobody here uses': {
    pem: () => openssl(['ecparam', '-name', 'secp256k1', '-genkey', '-noout']),
    code: 'KEY_MALFORMED',
  },
  'an RSA key of 1024 bits': { pem: () => openssl(['genrsa', '1024']), code: 'KEY_WEAK' },
  'a key of OpenSSH': {
    pem: () => '-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
    code: 'KEY_MALFORMED',
  },
  'base64 that is no key': {
    pem: () => '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
    code: 'KEY_MALFORMED',
  },
  'SEC1 that is none': {
    pem: () => '-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n',
    code: 'KEY_MALFORMED',
  },
  "an EC key whose public half is another's": { pem: crossedEc, code: 'KEY_MALFORMED' },
}

/** SEC1 with the private number of one key and the point of another: OpenSSL takes its word. */
function crossedEc(): string {
  const [one, two] = [0, 1].map(() => {
    const pem = openssl(['ecparam', '-name', 'prime256v1', '-genkey', '-noout'])
    return Buffer.from(pem.split('\n').slice(1, -2).join(''), 'base64')
  }) as [Buffer, Buffer]
  const crossed = Buffer.concat([one.subarray(0, -65), two.subarray(-65)])
  return `-----BEGIN EC PRIVATE KEY-----\n${crossed.toString('base64')}\n-----END EC PRIVATE KEY-----\n`
}

for (const [name, { pem, code }] of Object.entries(NO_IMPORT)) {
  await t.test(`refuses to import ${name}`, async (t) => {
    const dir = privateFolder(t)
    await t.rejects(keystoreIn(dir).import({ pem: pem(), encrypted: true }), { name: 'KeyError', code })
    t.strictSame(readdirSync(dir), [])
  })
}

type Loose = { spoil: (dir: string, file: string) => void; needsRoot?: boolean }
const LOOSE: Record<string, Loose> = {
  'a folder that others may list': { spoil: (dir) => chmodSync(dir, 0o755) },
  'a folder that its group may enter': { spoil: (dir) => chmodSync(dir, 0o710) },
  'a folder that everybody may write to': { spoil: (dir) => chmodSync(dir, 0o777) },
  'a folder that is a link': {
    spoil: (dir) => {
      renameSync(dir, `${dir}.real`)
      symlinkSync(`${dir}.real`, dir)
    },
  },
  'a folder of somebody else': { spoil: (dir) => chownSync(dir, 4242, 4242), needsRoot: true },
  'a file that its owner may write': { spoil: (_dir, file) => chmodSync(file, 0o600) },
  'a file that its group may read': { spoil: (_dir, file) => chmodSync(file, 0o440) },
  'a file that everybody may read': { spoil: (_dir, file) => chmodSync(file, 0o444) },
  'a file that is a link': {
    spoil: (dir, file) => {
      renameSync(file, join(dir, 'elsewhere'))
      symlinkSync('elsewhere', file)
    },
  },
  'a file of somebody else': { spoil: (_dir, file) => chownSync(file, 4242, 4242), needsRoot: true },
}
const isRoot = process.geteuid?.() === 0

for (const [name, { spoil, needsRoot = false }] of Object.entries(LOOSE)) {
  await t.test(`refuses ${name}, and the command it names mends that`, { skip: needsRoot && !isRoot }, async (t) => {
    const dir = join(privateFolder(t), "it's a folder")
    const keystore = keystoreIn(dir)
    const info = await keystore.generate({ algorithm: 'ed25519', encrypted: true })
    spoil(dir, fileOf(dir, info))
    const error = await mustFail(t, keystore.open(info.id))
    t.match(error, { name: 'KeyError', code: 'KEY_PERMISSIONS', detail: { mend: String } })
    await t.rejects(keystore.list(), { code: 'KEY_PERMISSIONS' })
    await t.rejects(keystore.find(info.id.slice(0, 8)), { code: 'KEY_PERMISSIONS' })
    await t.rejects(keystore.remove(info.id), { code: 'KEY_PERMISSIONS' })
    const { mend } = (error as { detail: { mend: string } }).detail
    execFileSync('sh', ['-c', needsRoot ? mend.replace('sudo ', '') : mend])
    t.equal(await signs(await keystore.open(info.id), info), true)
  })
}

async function mustFail(t: Test, work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  return t.fail('it did not fail')
}

await t.test('finds a key by id, by the beginning of its id, by name', async (t) => {
  const keystore = keystoreIn(privateFolder(t))
  const one = await keystore.generate({ algorithm: 'ed25519', name: 'team/app root', encrypted: false })
  const two = await keystore.generate({ algorithm: 'ed25519', name: 'both', encrypted: false })
  const three = await keystore.generate({ algorithm: 'ed25519', name: 'both', encrypted: false })
  t.strictSame(await keystore.find(one.id), one)
  t.strictSame(await keystore.find(one.id.slice(0, 12)), one)
  t.strictSame(await keystore.find('team/app root'), one)
  t.equal((await keystore.list()).length, 3)
  await t.rejects(keystore.find('both'), { code: 'KEY_AMBIGUOUS', detail: { ids: [two.id, three.id].sort() } })
  for (const wanted of [
    'team/app',
    one.id.slice(0, 3),
    '',
    '../x',
    one.id.toUpperCase(),
    `${one.id}0`,
    'ff'.repeat(32),
  ]) {
    await t.rejects(keystore.find(wanted), { code: 'KEY_NOT_FOUND' }, wanted)
  }
})

for (const name of ['', ' x', 'x ', 'a\nb', 'a--b', '-x', 'é', 'x'.repeat(129), 'a\u0000b', 'a"b']) {
  await t.test(`refuses the key name ${JSON.stringify(name)}`, async (t) => {
    const dir = privateFolder(t)
    await t.rejects(keystoreIn(dir).generate({ algorithm: 'ed25519', name, encrypted: false }), {
      code: 'KEY_MALFORMED',
    })
    t.strictSame(readdirSync(dir), [])
  })
}

await t.test('a wrong passphrase opens nothing', async (t) => {
  const dir = privateFolder(t)
  const info = await keystoreIn(dir).generate({ algorithm: 'ed25519', encrypted: true })
  const other = keystoreIn(dir, 'incorrect horse')
  await t.rejects(other.open(info.id), { code: 'PASSPHRASE_WRONG' })
  await t.rejects(other.exportPrivate(info.id, 'none'), { code: 'PASSPHRASE_WRONG' })
  await t.rejects(other.passwd(info.id, 'none'), { code: 'PASSPHRASE_WRONG' })
  t.strictSame(await other.find(info.id), info, 'its public half needs none')
})

await t.test('changes the passphrase, takes it away, and puts one on', async (t) => {
  const dir = privateFolder(t)
  const [old, next] = [keystoreIn(dir), keystoreIn(dir, 'the next')]
  const info = await old.generate({ algorithm: 'ed25519', name: 'n', encrypted: true })
  t.strictSame(await old.passwd(info.id, passphrase('the next')), info)
  await t.rejects(old.open(info.id), { code: 'PASSPHRASE_WRONG' })
  t.equal(await signs(await next.open(info.id), info), true)
  t.match(await next.passwd(info.id, 'none'), { ...info, encrypted: false })
  t.equal(await signs(await old.open(info.id), info), true, 'no passphrase is asked for')
  t.strictSame(await old.passwd(info.id, passphrase('correct horse')), info)
  t.equal(await signs(await old.open(info.id), info), true)
  t.strictSame(readdirSync(dir), [`${info.id}.pem`])
  t.equal(statSync(fileOf(dir, info)).mode & 0o777, 0o400)
})

await t.test('exports a private key that openssl opens', async (t) => {
  const keystore = keystoreIn(privateFolder(t))
  const info = await keystore.generate({ algorithm: 'ecdsa-p256', encrypted: true })
  const pem = await keystore.exportPublic(info.id)
  t.equal(openssl(['pkey', '-pubout'], await keystore.exportPrivate(info.id, 'none')), pem)
  const sealed = await keystore.exportPrivate(info.id, passphrase('for the journey'))
  t.equal(openssl(['pkey', '-pubout', '-passin', 'pass:for the journey'], sealed), pem)
})

await t.test('removes a key', async (t) => {
  const dir = privateFolder(t)
  const keystore = keystoreIn(dir)
  const info = await keystore.generate({ algorithm: 'ed25519', encrypted: false })
  t.strictSame(await keystore.remove(info.id), info)
  await t.rejects(keystore.open(info.id), { code: 'KEY_NOT_FOUND' })
  t.strictSame(readdirSync(dir), [])
})

type Damage = (dir: string, info: KeyInfo, other: KeyInfo) => void
const edit = (file: string, change: (text: string) => string): void => {
  const text = change(readFileSync(file, 'latin1'))
  rmSync(file)
  writeFileSync(file, text, { encoding: 'latin1', mode: 0o400 })
}
const DAMAGED: Record<string, Damage> = {
  'cut short': (dir, info) => edit(fileOf(dir, info), (text) => text.slice(0, -40)),
  emptied: (dir, info) => edit(fileOf(dir, info), () => ''),
  'given another name inside': (dir, info) => edit(fileOf(dir, info), (text) => text.replace('id: ', 'id: 0')),
  'given another date': (dir, info) => edit(fileOf(dir, info), (text) => text.replace('created: 2', 'created: x')),
  'given a line more': (dir, info) => edit(fileOf(dir, info), (text) => text.replace('id: ', 'x: y\nid: ')),
  'given CRLF': (dir, info) => edit(fileOf(dir, info), (text) => text.replaceAll('\n', '\r\n')),
  'given a second key': (dir, info) => edit(fileOf(dir, info), (text) => text + text),
  'replaced by another key': (dir, info, other) => cpSync(fileOf(dir, other), fileOf(dir, info), { force: true }),
  'given the public half of another': (dir, info, other) =>
    edit(fileOf(dir, info), (text) => {
      const line = /public: .*/.exec(readFileSync(fileOf(dir, other), 'latin1'))?.[0] ?? ''
      return text.replace(/public: .*/, line)
    }),
  'given the private half of another': (dir, info, other) =>
    edit(fileOf(dir, info), (text) => {
      const theirs = readFileSync(fileOf(dir, other), 'latin1')
      return text.slice(0, text.indexOf('-----')) + theirs.slice(theirs.indexOf('-----'))
    }),
}
for (const [name, damage] of Object.entries(DAMAGED)) {
  await t.test(`does not open a file that was ${name}`, async (t) => {
    const dir = privateFolder(t)
    const keystore = keystoreIn(dir)
    const info = await keystore.generate({ algorithm: 'ed25519', encrypted: true })
    const other = await keystore.generate({ algorithm: 'ed25519', encrypted: true })
    damage(dir, info, other)
    await t.rejects(keystore.open(info.id), { name: 'KeyError', code: 'KEY_MALFORMED' })
  })
}

await t.test('passes over what an interrupted write left behind, and files that are no keys', async (t) => {
  const dir = privateFolder(t)
  const keystore = keystoreIn(dir)
  const info = await keystore.generate({ algorithm: 'ed25519', encrypted: false })
  writeFileSync(join(dir, '.new-0123'), 'half a fi')
  writeFileSync(join(dir, 'README'), 'not a key')
  t.strictSame(await keystore.list(), [info])
})

await t.test('refuses a folder in the place of a key, and says what the system said of the rest', async (t) => {
  const dir = privateFolder(t)
  const id = 'ab'.repeat(32)
  mkdirSync(join(dir, `${id}.pem`), { mode: 0o400 })
  await t.rejects(keystoreIn(dir).find(id), { code: 'KEYSTORE_IO' })
  writeFileSync(join(dir, 'file'), '')
  await t.rejects(keystoreIn(join(dir, 'file', 'keys')).list(), {
    code: 'KEYSTORE_IO',
    detail: { why: 'ENOTDIR' },
    message: /no folder/,
  })
})

await t.test('twenty keys made at once are all there', async (t) => {
  const dir = privateFolder(t)
  const keystore = keystoreIn(dir)
  const made = await Promise.all(
    Array.from({ length: 20 }, () => keystore.generate({ algorithm: 'ed25519', encrypted: false })),
  )
  t.strictSame(new Set((await keystore.list()).map(({ id }) => id)), new Set(made.map(({ id }) => id)))
  t.equal(lstatSync(dir).mode & 0o777, 0o700)
})
