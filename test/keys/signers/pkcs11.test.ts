import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pkcs11js from 'pkcs11js'
import t from 'tap'
import type { Test } from 'tap'
import { CKA, CKF, CKM, CKO, CKU } from '../../../keys/signers/pkcs11/constants.ts'
import { loadModule } from '../../../keys/signers/pkcs11/module.ts'
import type { Algorithm } from '../../../keys/signer.ts'
import { codeOf, tagseal } from '../../support/cli.ts'
import { privateFolder } from '../../support/secrets.ts'
import { PIN, startToken, whyNoTokens } from '../../support/signers.ts'
import { isSignedBy, isSignedForNotary, openSigning } from '../../support/signing.ts'

const PAYLOAD = Buffer.from('{"_type":"targets"}')
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const skip = whyNoTokens() ?? false

/** SoftHSM reads its environment in the process that loads it, and once: every test has a token of its own there. */
function tokenHere(t: Test) {
  const token = startToken(t)
  process.env['SOFTHSM2_CONF'] = token.env.SOFTHSM2_CONF
  return { ...token, options: { module: token.module, pinFile: token.pinFile } }
}

await t.test('a token makes keys that never leave it, and signs with them', { skip }, async (t) => {
  const { options } = tokenHere(t)
  const keys = openSigning(t, options)
  for (const algorithm of ['ed25519', 'ecdsa-p256', 'ecdsa-p384', 'rsa-pss'] as const satisfies readonly Algorithm[]) {
    await t.test(algorithm, async (t) => {
      const made = await keys.generateAt(`pkcs11:token=release;object=${algorithm}`, algorithm, `my ${algorithm}`)
      t.match(made, { algorithm, encrypted: true, signer: /^pkcs11:token=release;object=.*;id=.*\?module-path=\// })
      const signer = await keys.open(`my ${algorithm}`)
      for (const payload of [PAYLOAD, Buffer.alloc(300_000, 1)]) {
        t.ok(isSignedBy(made.public, payload, await signer.sign(payload)))
        t.ok(isSignedForNotary(made.public, payload, await signer.sign(payload, 'notary-v1')))
      }
      const many = await Promise.all(Array.from({ length: 8 }, (_, i) => signer.sign(Buffer.of(i))))
      t.ok(
        many.every((signature, i) => isSignedBy(made.public, Buffer.of(i), signature)),
        'eight at once',
      )
      await t.rejects(keys.exportPrivate(made.id, 'none'), { code: 'KEY_ELSEWHERE' })
    })
  }
  await t.test('and lists them without a PIN', async (t) => {
    const offered = await openSigning(t, { module: options.module }).offered('pkcs11:token=release')
    t.same(offered.map((key) => ('id' in key ? key.public.algorithm : key.why)).toSorted(), [
      'ecdsa-p256',
      'ecdsa-p384',
      'ed25519',
      'rsa-pss',
    ])
  })
  await t.test('a second key of the same name is not made', async (t) => {
    const again = keys.generateAt('pkcs11:token=release;object=ed25519', 'ed25519', undefined)
    await t.rejects(again, { code: 'KEY_EXISTS' })
  })
})

await t.test('a PIN is tried once', { skip }, async (t) => {
  const { module, pinFile } = tokenHere(t)
  const maker = openSigning(t, { module, pinFile })
  await maker.generateAt('pkcs11:token=release;object=k', 'ed25519', undefined)
  await maker.close() // who is logged in here is so for the whole process
  await t.test('and never again after it was wrong, not even when it was mended', async (t) => {
    const wrong = join(privateFolder(t), 'pin')
    writeFileSync(wrong, '000000')
    const keys = openSigning(t, { module, pinFile: wrong })
    await t.rejects(keys.open('pkcs11:token=release;object=k'), { code: 'PIN_WRONG' })
    writeFileSync(wrong, PIN)
    await t.rejects(keys.open('pkcs11:token=release;object=k'), { code: 'PIN_WRONG' })
    t.match(keys.warned, [/everybody may read it/])
  })
  await t.test('and is none where nobody can be asked', async (t) => {
    await t.rejects(openSigning(t, { module }).open('pkcs11:token=release;object=k'), { code: 'PIN_MISSING' })
  })
  await t.test('as a person types it', async (t) => {
    const asked: string[] = []
    const ask = async (question: string) => {
      asked.push(question)
      return new Uint8Array(Buffer.from(PIN))
    }
    const keys = openSigning(t, { module, terminal: () => ({ ask, close: () => undefined }) })
    for (let i = 0; i < 2; i += 1) await (await keys.open('pkcs11:token=release;object=k')).sign(PAYLOAD)
    t.same(asked, ['PIN of token "release": '])
  })
  await t.test('from the file that the reference names, before any other', async (t) => {
    const keys = openSigning(t, { module, pinFile: '/nowhere/pin' })
    const signer = await keys.open(`pkcs11:token=release;object=k?pin-source=file:${encodeURI(pinFile)}`)
    t.ok(isSignedBy(signer.public, PAYLOAD, await signer.sign(PAYLOAD)))
  })
  await t.test('and from no file that is not there, is empty or is a folder', async (t) => {
    const empty = join(privateFolder(t), 'pin')
    writeFileSync(empty, '\n', { mode: 0o400 })
    for (const file of [empty, '/nowhere/pin', '/tmp']) {
      const opening = openSigning(t, { module, pinFile: file }).open('pkcs11:token=release;object=k')
      await t.rejects(opening, { code: 'PIN_UNUSABLE', detail: { source: file } })
    }
  })
})

await t.test('what is not there, or is not one, is refused with words', { skip }, async (t) => {
  const { options, module, init } = tokenHere(t)
  init('other')
  const keys = openSigning(t, options)
  await keys.generateAt('pkcs11:token=release;object=k', 'ed25519', undefined)
  const loose = join(privateFolder(t), 'module.so')
  copyFileSync(module, loose)
  chmodSync(loose, 0o777)
  const at = (path: string) => `pkcs11:token=release;object=k?module-path=${encodeURI(path)}`
  const CASES: Record<string, { reference: string; code: string; message?: RegExp }> = {
    'a token': {
      reference: 'pkcs11:token=gone;object=k',
      code: 'KEY_NOT_FOUND',
      message: /^the token "gone" is not in .* has .*"release"/,
    },
    'an object': {
      reference: 'pkcs11:token=release;object=gone',
      code: 'KEY_NOT_FOUND',
      message: /^the key "gone" is not in token/,
    },
    'one token of two': { reference: 'pkcs11:object=k', code: 'KEY_AMBIGUOUS' },
    'a key, where only a token is named': { reference: 'pkcs11:token=release', code: 'SIGNER_MALFORMED' },
    'a module': { reference: at('/nowhere/m.so'), code: 'SIGNER_UNAVAILABLE' },
    'a module, but a text': { reference: at('/etc/hostname'), code: 'SIGNER_UNAVAILABLE', message: /does not load/ },
    'a module that only we could have changed': { reference: at(loose), code: 'KEY_PERMISSIONS' },
  }
  for (const [name, { reference, code, message }] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      await t.rejects(keys.find(reference), { code, ...(message && { message }) })
    })
  }
  await t.test('a module, where none is named', async (t) => {
    await t.rejects(openSigning(t).find('pkcs11:token=release;object=k'), {
      code: 'SIGNER_MALFORMED',
      message: /TAGSEAL_PKCS11_MODULE/,
    })
  })
})

await t.test('another key under the name of a kept one is not used', { skip }, async (t) => {
  const { options, module, pinFile } = tokenHere(t)
  const keys = openSigning(t, options)
  const id = pair(module, 'k', { id: '01' })
  const kept = await keys.importReference('pkcs11:token=release;object=k', undefined)
  t.match(kept.signer, /id=01/)
  await keys.close()
  remove(module, 'k')
  pair(module, 'k', { id })
  const again = openSigning(t, { dir: keys.dir, module, pinFile })
  await t.rejects(again.open(kept.id), { code: 'SIGNER_UNFIT', message: /another key by now/ })
})

await t.test('a key that wants the PIN before every signature gets it', { skip }, async (t) => {
  const { options, module } = tokenHere(t)
  pair(module, 'careful', { id: '02', always: true })
  const signer = await openSigning(t, options).open('pkcs11:token=release;object=careful')
  for (let i = 0; i < 3; i += 1) t.ok(isSignedBy(signer.public, PAYLOAD, await signer.sign(PAYLOAD)))
})

const odd = skip === false ? oddModule(t) : ''

/** As `tokenHere`, behind a module that does what `ODD_...` in the environment says. */
function oddToken(t: Test) {
  const token = tokenHere(t)
  process.env['REAL_MODULE'] = token.module
  const told: string[] = []
  t.teardown(() => told.forEach((name) => delete process.env[name]))
  const be = (name: string, value: string) => {
    told.push(name)
    process.env[name] = value
  }
  return { ...token, options: { ...token.options, module: odd }, be }
}

await t.test('the PIN of a token that may lock itself is not spent', { skip }, async (t) => {
  const CASES: Record<string, { odd: [string, string]; by: 'file' | 'person'; code?: string; message?: RegExp }> = {
    'with one attempt left, from a file': {
      odd: ['ODD_FLAGS', '0x20000'],
      by: 'file',
      code: 'PIN_LOCKED',
      message: /one attempt is left/,
    },
    'with one attempt left, but by a person': { odd: ['ODD_FLAGS', '0x20000'], by: 'person' },
    'when it is locked': { odd: ['ODD_FLAGS', '0x40000'], by: 'person', code: 'PIN_LOCKED', message: /was locked/ },
    'when it locks itself': { odd: ['ODD_LOGIN', '0xa4'], by: 'person', code: 'PIN_LOCKED', message: /was locked/ },
    'on a reader with a pad': { odd: ['ODD_FLAGS', '0x100'], by: 'person', code: 'PIN_LOCKED', message: /pad/ },
    'when the token broke': {
      odd: ['ODD_LOGIN', '0x30'],
      by: 'file',
      code: 'SIGNER_FAILED',
      message: /CKR_DEVICE_ERROR/,
    },
  }
  for (const [
    name,
    {
      odd: [variable, value],
      by,
      code,
      message,
    },
  ] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      const { options, module, be } = oddToken(t)
      pair(module, 'k', { id: '03' })
      be(variable, value)
      let asked = 0
      const ask = async () => {
        asked += 1
        return new Uint8Array(Buffer.from(PIN))
      }
      const person = { module: odd, terminal: () => ({ ask, close: () => undefined }) }
      const keys = openSigning(t, by === 'file' ? options : person)
      const opening = keys.open('pkcs11:token=release;object=k')
      if (code === undefined) return void t.ok(await opening)
      await t.rejects(opening, { code, ...(message && { message }) })
      t.equal(asked, variable === 'ODD_LOGIN' && by === 'person' ? 1 : 0)
      await keys.close()
    })
  }
  await t.test('when it is wrong before one signature, for the next', async (t) => {
    const { options, module, be } = oddToken(t)
    pair(module, 'careful', { id: '04', always: true })
    const keys = openSigning(t, options)
    const signer = await keys.open('pkcs11:token=release;object=careful')
    t.ok(await signer.sign(PAYLOAD))
    be('ODD_LOGIN', '0xa0')
    await t.rejects(signer.sign(PAYLOAD), { code: 'PIN_WRONG' })
    be('ODD_LOGIN', '0')
    await t.rejects(signer.sign(PAYLOAD), { code: 'PIN_WRONG' }, 'the next one is not even tried')
    await keys.close()
  })
})

await t.test('a token that answers wrongly signs nothing', { skip }, async (t) => {
  await t.test('with a signature that is none', async (t) => {
    const { options, module, be } = oddToken(t)
    pair(module, 'k', { id: '05' })
    const keys = openSigning(t, options)
    const signer = await keys.open('pkcs11:token=release;object=k')
    be('ODD_SIGNATURE', '1')
    await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNATURE_WRONG' })
    await keys.close()
  })
  await t.test('with a point that is on no curve', async (t) => {
    const { options, module, be } = oddToken(t)
    pair(module, 'k', { id: '06' })
    be('ODD_POINT', '1')
    const keys = openSigning(t, options)
    await t.rejects(keys.find('pkcs11:token=release;object=k'), { code: 'SIGNER_UNFIT', message: /not on the curve/ })
    t.match(await keys.offered('pkcs11:token=release'), [{ label: 'k', why: /not on the curve/ }])
    await keys.close()
  })
  await t.test('without the private half, or with two of them', async (t) => {
    const { options, module } = oddToken(t)
    const refused = async (code: string) => {
      const keys = openSigning(t, options)
      await t.rejects(keys.open('pkcs11:token=release;object=k'), { code })
      await keys.close()
    }
    pair(module, 'k', { id: '07' })
    pair(module, 'k', { id: '07' }, CKO.privateKey)
    await refused('KEY_AMBIGUOUS')
    remove(module, 'k', CKO.privateKey)
    await refused('KEY_NOT_FOUND')
    pair(module, 'k', { id: '08' })
    await refused('KEY_AMBIGUOUS')
  })
  await t.test('of a kind that it does not make', async (t) => {
    const { options, be } = oddToken(t)
    be('ODD_GENERATE', '0x70') // CKR_MECHANISM_INVALID
    const keys = openSigning(t, options)
    const making = keys.generateAt('pkcs11:token=release;object=k', 'ed25519', undefined)
    await t.rejects(making, { code: 'SIGNER_UNFIT', message: /no ed25519 keys/ })
    t.same(await keys.list(), [])
    await keys.close()
  })
  await t.test('when it does not know what it is asked for', async (t) => {
    const { options } = tokenHere(t)
    const keys = openSigning(t, options)
    const asking = (reference: string) => keys.generateAt(reference, 'ed25519', undefined)
    await t.rejects(asking('pkcs11:token=release'), { code: 'SIGNER_MALFORMED', message: /what the new key is called/ })
    await t.rejects(asking('pkcs11:token=release;object=k;id=1'), { code: 'SIGNER_MALFORMED', message: /its own/ })
    await keys.close()
  })
})

await t.test('a token that breaks, or is drawn out', { skip }, async (t) => {
  const CASES: Record<string, { odd: [string, string]; code?: string; message?: RegExp }> = {
    'while it signs': { odd: ['ODD_SIGN', '0x32'], code: 'SIGNER_FAILED', message: /CKR_DEVICE_REMOVED/ },
    'while a key is looked for': { odd: ['ODD_SEARCH', '0x32'], code: 'SIGNER_FAILED', message: /CKR_DEVICE_REMOVED/ },
    'before it says who it is': { odd: ['ODD_INFO', '0xe0'], code: 'KEY_NOT_FOUND', message: /which has none/ },
    'when all is done': { odd: ['ODD_CLOSE', '0xb3'] },
    'or does not say what it does not know': { odd: ['ODD_ATTRIBUTE', '0x202'] },
  }
  for (const [
    name,
    {
      odd: [variable, value],
      code,
      message,
    },
  ] of Object.entries(CASES)) {
    await t.test(name, async (t) => {
      const { options, module, be } = oddToken(t)
      pair(module, 'k', { id: '10' })
      const keys = openSigning(t, options)
      be(variable, value)
      const signing = async () => (await keys.open('pkcs11:token=release;object=k')).sign(PAYLOAD)
      if (code === undefined) t.ok(await signing())
      else await t.rejects(signing(), { code, ...(message && { message }) })
      await keys.close()
    })
  }
})

await t.test('a token that waits for a touch that never comes', { skip }, async (t) => {
  const { options, module, pinFile, be } = oddToken(t)
  pair(module, 'k', { id: '09' })
  await t.test('is given up, and asked no more', async (t) => {
    const keys = openSigning(t, { ...options, milliseconds: 1200 })
    const signer = await keys.open('pkcs11:token=release;object=k')
    be('ODD_SILENCE', '1')
    await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_TIMEOUT' })
    t.match(keys.said, [/^waiting for token "release": touch it/])
    await t.rejects(signer.sign(PAYLOAD), { code: 'SIGNER_FAILED', message: /owes an answer/ })
    delete process.env['ODD_SILENCE']
    await delay(1200) // the lost call comes back, and its process can end
    await keys.close()
  })
  await t.test('does not keep a process from its end', async (t) => {
    const dir = privateFolder(t)
    const file = join(dir, 'run.ts')
    const lines = [
      `import { openPkcs11 } from '${ROOT}keys/signers/pkcs11/custodian.ts'`,
      `const token = openPkcs11({ env: {}, say: console.log, warn: console.log, module: '${odd}', pinFile: '${pinFile}', milliseconds: 1200 })`,
      `const key = await token.find('pkcs11:token=release;object=k')`,
      `const signer = await token.open(key.reference, key.public)`,
      `await signer.sign(Buffer.from('x')).catch((error) => console.log(error.code))`,
      `await token.close()`,
      `process.exit(7)`,
    ]
    writeFileSync(file, lines.join('\n'))
    const ran = spawnSync(process.execPath, [file], {
      env: { ...process.env, ODD_SILENCE: '1' },
      timeout: 20_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    })
    t.same([ran.status, ran.stdout.split('\n').at(-2)], [7, 'SIGNER_TIMEOUT'], ran.stderr)
  })
})

await t.test('an add-on that does not load is said', async (t) => {
  const loading = loadModule('/bin/sh', () => Promise.reject(new Error('no such file')))
  await t.rejects(loading, { code: 'SIGNER_UNAVAILABLE', message: /npm rebuild pkcs11js/ })
})

await t.test('without the add-on, it is said how to have it', { skip }, async (t) => {
  const token = startToken(t)
  const copy = privateFolder(t)
  for (const part of ['keys', 'tuf', 'client', 'package.json']) execFileSync('cp', ['-r', join(ROOT, part), copy])
  const [modules, own] = [join(ROOT, 'node_modules'), join(copy, 'node_modules')]
  mkdirSync(own)
  for (const name of readdirSync(modules)) if (name !== 'pkcs11js') symlinkSync(join(modules, name), join(own, name))
  execFileSync('cp', ['-r', join(modules, 'pkcs11js'), own])
  rmSync(join(own, 'pkcs11js/build'), { recursive: true })
  const args = ['key', 'list', 'pkcs11:token=release']
  const ran = await tagseal(args, {
    env: { ...token.env, TAGSEAL_HOME: privateFolder(t) },
    program: join(copy, 'client/main.ts'),
  })
  t.same([ran.code, codeOf(ran)], [3, 'SIGNER_UNAVAILABLE'], ran.stderr)
  t.match(ran.stderr, /npm rebuild pkcs11js/)
})

function oddModule(t: Test): string {
  const path = join(privateFolder(t), 'odd.so')
  const source = fileURLToPath(new URL('../../support/odd-token.c', import.meta.url))
  execFileSync('c++', ['-x', 'c', '-shared', '-fPIC', `-I${ROOT}node_modules/pkcs11js/includes`, source, '-o', path])
  return path
}

/** By hand, as another program might: with an id and attributes of its own choice. Gives the id. */
function pair(
  module: string,
  label: string,
  { id, always = false }: { id: string; always?: boolean },
  half?: number,
): string {
  inSession(module, (lib, session) => {
    const names = [
      { type: CKA.token, value: true },
      { type: CKA.label, value: label },
      { type: CKA.id, value: Buffer.from(id) },
    ]
    const p256 = { type: CKA.ecParams, value: Buffer.from('06082a8648ce3d030107', 'hex') }
    const secret = [
      { type: CKA.private, value: true },
      { type: CKA.sign, value: true },
      { type: CKA.alwaysAuthenticate, value: always },
    ]
    lib.C_GenerateKeyPair(session, { mechanism: CKM.ecGenerate }, [...names, p256], [...names, ...secret])
  })
  if (half === CKO.privateKey) remove(module, label, CKO.publicKey, 1)
  return id
}

/** Every such object, or so many of them. */
function remove(module: string, label: string, half?: number, most = 10): void {
  inSession(module, (lib, session) => {
    const kind = half === undefined ? [] : [{ type: CKA.class, value: half }]
    lib.C_FindObjectsInit(session, [{ type: CKA.label, value: label }, ...kind])
    const found = lib.C_FindObjects(session, most)
    lib.C_FindObjectsFinal(session)
    for (const handle of found) lib.C_DestroyObject(session, handle)
  })
}

function inSession(module: string, use: (lib: pkcs11js.PKCS11, session: Buffer) => void): void {
  const lib = new pkcs11js.PKCS11()
  lib.load(module)
  lib.C_Initialize()
  try {
    const slot = lib.C_GetSlotList(true).find((each) => lib.C_GetTokenInfo(each).label.trimEnd() === 'release')
    if (slot === undefined) throw new Error('there is no token')
    const session = lib.C_OpenSession(slot, CKF.serialSession | CKF.rwSession)
    lib.C_Login(session, CKU.user, PIN)
    use(lib, session)
  } finally {
    lib.C_Finalize()
    lib.close()
  }
}
