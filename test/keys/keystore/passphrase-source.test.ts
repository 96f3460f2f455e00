import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KeyError } from '../../../keys/errors.ts'
import { openKeystore } from '../../../keys/keystore/file.ts'
import { openPassphrases, type PassphraseOptions } from '../../../keys/keystore/passphrase-source.ts'
import type { Passphrase } from '../../../keys/keystore/passphrase.ts'
import type { Terminal } from '../../../keys/keystore/terminal.ts'
import { privateFolder } from '../../support/secrets.ts'

const NONE: ReadonlySet<never> = new Set<never>()

/** A person who answers in turn, and the prompts that were shown. */
function person(...answers: readonly string[]): { terminal: () => Terminal; prompts: string[]; given: Uint8Array[] } {
  const [prompts, given, left]: [string[], Uint8Array[], string[]] = [[], [], [...answers]]
  return {
    prompts,
    given,
    terminal: () => ({
      async ask(prompt) {
        prompts.push(prompt)
        const answer = left.shift()
        if (answer === undefined) throw new KeyError('PASSPHRASE_CANCELLED', { prompt })
        const bytes = new Uint8Array(Buffer.from(answer))
        given.push(bytes)
        return bytes
      },
      close: () => undefined,
    }),
  }
}

async function read(options: PassphraseOptions): Promise<string | undefined> {
  const found = await openPassphrases(options).unlock('a key', NONE)
  return found && Buffer.from(found.bytes).toString()
}

const nobody = (): undefined => undefined

await t.test(
  'looks in this order: the file named, the environment, the systemd credential, the terminal',
  async (t) => {
    const dir = privateFolder(t)
    for (const name of ['named', 'env', 'tagseal-passphrase'])
      writeFileSync(join(dir, name), `from ${name}\n`, { mode: 0o400 })
    const { terminal } = person('from a person', 'from a person')
    const env = { TAGSEAL_PASSPHRASE_FILE: join(dir, 'env'), CREDENTIALS_DIRECTORY: dir }
    t.equal(await read({ file: join(dir, 'named'), env, terminal }), 'from named')
    t.equal(await read({ env, terminal }), 'from env')
    t.equal(await read({ env: { CREDENTIALS_DIRECTORY: dir }, terminal }), 'from tagseal-passphrase')
    t.equal(await read({ env: { CREDENTIALS_DIRECTORY: join(dir, 'none') }, terminal }), 'from a person')
    t.equal(await read({ env: { TAGSEAL_PASSPHRASE_FILE: '', CREDENTIALS_DIRECTORY: '' }, terminal }), 'from a person')
    await t.rejects(read({ env: {}, terminal: nobody }), { code: 'PASSPHRASE_MISSING', detail: { key: 'a key' } })
    await t.rejects(read({ env: { CREDENTIALS_DIRECTORY: join(dir, 'none') }, terminal: nobody }), {
      code: 'PASSPHRASE_MISSING',
    })
  },
)

const FILES: Record<string, { content: string; gives?: string; refused?: string }> = {
  'without a newline': { content: 'secret', gives: 'secret' },
  'with a newline': { content: 'secret\n', gives: 'secret' },
  'with CRLF': { content: 'secret\r\n', gives: 'secret' },
  'with two newlines, one of them its own': { content: 'secret\n\n', gives: 'secret\n' },
  'with blanks around it': { content: ' secret \n', gives: ' secret ' },
  'that is empty': { content: '', refused: 'PASSPHRASE_UNUSABLE' },
  'that is a newline': { content: '\n', refused: 'PASSPHRASE_UNUSABLE' },
  'of 4096 bytes': { content: 'x'.repeat(4096), gives: 'x'.repeat(4096) },
  'of 4097 bytes': { content: 'x'.repeat(4097), refused: 'PASSPHRASE_UNUSABLE' },
}
for (const [name, { content, gives, refused }] of Object.entries(FILES)) {
  await t.test(`${refused ? 'refuses' : 'reads'} a file ${name}`, async (t) => {
    const file = join(privateFolder(t), 'passphrase')
    writeFileSync(file, content, { mode: 0o600 })
    if (refused) await t.rejects(read({ file, env: {} }), { name: 'KeyError', code: refused })
    else t.equal(await read({ file, env: {} }), gives)
  })
}

await t.test('a file that is not there, or cannot be read, is refused with its name', async (t) => {
  const dir = privateFolder(t)
  const file = join(dir, 'none')
  await t.rejects(read({ file, env: {}, terminal: nobody }), { code: 'PASSPHRASE_UNUSABLE', detail: { source: file } })
  await t.rejects(read({ file: dir, env: {} }), {
    code: 'PASSPHRASE_UNUSABLE',
    detail: { source: dir, why: 'it is a folder (EISDIR)' },
  })
})

await t.test('warns of a file that everybody may read, and of no other', async (t) => {
  const file = join(privateFolder(t), 'passphrase')
  writeFileSync(file, 'secret')
  for (const [mode, warned] of [
    [0o644, true],
    [0o604, true],
    [0o640, false],
    [0o400, false],
  ] as const) {
    chmodSync(file, mode)
    const warnings: string[] = []
    await read({ file, env: {}, warn: (sentence) => warnings.push(sentence) })
    t.equal(warnings.length, warned ? 1 : 0, mode.toString(8))
    t.notMatch(warnings.join(), /secret/)
  }
})

await t.test('nothing is read before it is needed', async (t) => {
  const source = openPassphrases({ file: join(privateFolder(t), 'none'), env: {} })
  source.close()
})

await t.test('a person is asked once for several keys, side by side', async (t) => {
  const dir = privateFolder(t)
  const { terminal, prompts, given } = person('horse', 'horse')
  const making = openPassphrases({ env: {}, terminal })
  const keystore = openKeystore({ dir, passphrase: making })
  const one = await keystore.generate({ algorithm: 'ed25519', name: 'root', encrypted: true })
  const two = await keystore.generate({ algorithm: 'ed25519', encrypted: true })
  t.equal(prompts.length, 2, 'the passphrase, and once more')
  t.match(prompts[0], /new passphrase for ed25519 key [0-9a-f]{12} \(root\)/)
  making.close()
  t.ok(
    given.every((bytes) => bytes.every((byte) => byte === 0)),
    'wiped',
  )

  const asked = person('horse')
  const opening = openPassphrases({ env: {}, terminal: asked.terminal })
  const again = openKeystore({ dir, passphrase: opening })
  for (const signer of await Promise.all([again.open(one.id), again.open(two.id), again.open('root')])) signer.close()
  t.equal(asked.prompts.length, 1)
  opening.close()
  t.ok(
    asked.given.every((bytes) => bytes.every((byte) => byte === 0)),
    'wiped',
  )
})

await t.test('a person may mistype twice, and no more', async (t) => {
  const dir = privateFolder(t)
  const made = person('horse', 'horse')
  const keystore = openKeystore({ dir, passphrase: openPassphrases({ env: {}, terminal: made.terminal }) })
  const { id } = await keystore.generate({ algorithm: 'ed25519', encrypted: true })

  const third = person('hose', 'house', 'horse')
  const opened = openKeystore({ dir, passphrase: openPassphrases({ env: {}, terminal: third.terminal }) })
  const signer = await opened.open(id)
  signer.close()
  t.match(third.prompts[2], /does not fit/)

  const never = person('hose', 'house', 'hoarse', 'horse')
  const refused = openKeystore({ dir, passphrase: openPassphrases({ env: {}, terminal: never.terminal }) })
  await t.rejects(refused.open(id), { code: 'PASSPHRASE_WRONG' })
  t.equal(never.prompts.length, 3)
})

await t.test('one given for another key is tried first, then a person is asked for the right one', async (t) => {
  const dir = privateFolder(t)
  const ids = await Promise.all(
    ['one', 'two'].map(async (word) => {
      const { terminal } = person(word, word)
      const keystore = openKeystore({ dir, passphrase: openPassphrases({ env: {}, terminal }) })
      return (await keystore.generate({ algorithm: 'ed25519', encrypted: true })).id
    }),
  )
  const { terminal, prompts } = person('one', 'two')
  const keystore = openKeystore({ dir, passphrase: openPassphrases({ env: {}, terminal }) })
  for (const id of [...ids, ...ids]) (await keystore.open(id)).close()
  t.equal(prompts.length, 2)
})

const NEW: Record<string, { answers: string[]; code: string }> = {
  'two that differ': { answers: ['one', 'two'], code: 'PASSPHRASE_UNUSABLE' },
  'an empty one': { answers: ['', ''], code: 'PASSPHRASE_UNUSABLE' },
  'no answer': { answers: [], code: 'PASSPHRASE_CANCELLED' },
  'no second answer': { answers: ['one'], code: 'PASSPHRASE_CANCELLED' },
}
for (const [name, { answers, code }] of Object.entries(NEW)) {
  await t.test(`makes no key under ${name}`, async (t) => {
    const dir = join(privateFolder(t), 'keys')
    mkdirSync(dir, { mode: 0o700 })
    const keystore = openKeystore({
      dir,
      passphrase: openPassphrases({ env: {}, terminal: person(...answers).terminal }),
    })
    await t.rejects(keystore.generate({ algorithm: 'ed25519', encrypted: true }), { name: 'KeyError', code })
    t.strictSame(await keystore.list(), [])
  })
}

await t.test('whoever stops while somebody is asked gives the terminal back', async (t) => {
  let closed = 0
  const silent: Terminal = { ask: async () => await new Promise(() => undefined), close: () => void closed++ }
  const source = openPassphrases({ env: {}, terminal: () => silent })
  void source.choose('a key')
  await new Promise(setImmediate)
  source.close()
  t.equal(closed, 1)
})

async function everyOne(options: PassphraseOptions): Promise<string[]> {
  const source = openPassphrases(options)
  const tried = new Set<Passphrase>()
  while (true) {
    const found = await source.unlock('a key', tried)
    if (found === undefined) return [...tried].map(({ bytes }) => Buffer.from(bytes).toString())
    tried.add(found)
  }
}

const SEVERAL: Record<string, { content: string; gives: string[] }> = {
  'one a line': { content: 'one\ntwo\r\n\nthree\n', gives: ['one', 'two', 'three', 'one\ntwo\r\n\nthree'] },
  'with their roles': {
    content: 'root: one\nNOTARY_TARGETS_PASSPHRASE=two\n',
    gives: ['root: one', 'one', 'NOTARY_TARGETS_PASSPHRASE=two', 'two', 'root: one\nNOTARY_TARGETS_PASSPHRASE=two'],
  },
  'that begin like a role and are one line': { content: 'root: one\n', gives: ['root: one'] },
}
for (const [name, { content, gives }] of Object.entries(SEVERAL)) {
  await t.test(`tries each passphrase of a file ${name}`, async (t) => {
    const file = join(privateFolder(t), 'passphrases')
    writeFileSync(file, content, { mode: 0o400 })
    t.strictSame(await everyOne({ file, env: {} }), gives)
  })
}

await t.test('a file of several names none for a new key, and keeps what a key was under elsewhere', async (t) => {
  const file = join(privateFolder(t), 'passphrases')
  writeFileSync(file, 'one\ntwo\n', { mode: 0o400 })
  const source = openPassphrases({ file, env: {} })
  await t.rejects(source.choose('a key'), { code: 'PASSPHRASE_UNUSABLE', detail: { source: file } })
  const two = { bytes: Buffer.from('two'), origin: 'typed' } as const
  t.equal(await source.choose('a key', two), two)
})

await t.test('a file of more lines than anybody has roles is refused', async (t) => {
  const file = join(privateFolder(t), 'passphrases')
  writeFileSync(file, 'x\n'.repeat(33), { mode: 0o400 })
  await t.rejects(read({ file, env: {} }), { code: 'PASSPHRASE_UNUSABLE' })
})

await t.test(
  'tries what the environment holds for notary and docker, once each, before anybody is asked',
  async (t) => {
    const env = {
      NOTARY_ROOT_PASSPHRASE: 'root',
      NOTARY_TARGETS_PASSPHRASE: 'same',
      NOTARY_SNAPSHOT_PASSPHRASE: 'same',
      NOTARY_DELEGATION_PASSPHRASE: '',
      DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE: 'docker root',
      DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE: 'docker repository',
    }
    const known = ['root', 'same', 'docker root', 'docker repository']
    t.strictSame(await everyOne({ env, terminal: nobody }), known, 'and there is nobody to ask')
    const { terminal, prompts } = person('typed', 'and again', 'and once more')
    t.strictSame(await everyOne({ env, terminal }), [...known, 'typed', 'and again', 'and once more'])
    t.equal(prompts.length, 3)
    const file = join(privateFolder(t), 'passphrase')
    writeFileSync(file, 'named', { mode: 0o400 })
    t.strictSame(await everyOne({ file, env, terminal: nobody }), ['named', ...known], 'after the file that is named')
  },
)

await t.test('what the environment holds for others is chosen for no new key', async (t) => {
  const env = { NOTARY_ROOT_PASSPHRASE: 'root' }
  await t.rejects(openPassphrases({ env, terminal: nobody }).choose('a key'), { code: 'PASSPHRASE_MISSING' })
  const { terminal } = person('typed', 'typed')
  const chosen = await openPassphrases({ env, terminal }).choose('a key')
  t.equal(Buffer.from(chosen.bytes).toString(), 'typed')
})
