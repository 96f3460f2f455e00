import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { isShareText, readShare, writeShare } from '../../../keys/escrow/share-text.ts'
import type { Share } from '../../../keys/escrow/share-text.ts'
import { joinShares } from '../../../keys/escrow/split.ts'
import { isKeyError } from '../../../keys/errors.ts'
import type { ForeignKey } from '../../../keys/keystore/foreign.ts'
import { openKeystore } from '../../../keys/keystore/file.ts'
import type { KeyInfo, Keystore } from '../../../keys/keystore/keystore.ts'
import { ALGORITHMS } from '../../../keys/schemes/table.ts'
import { everythingShown, passphrase, privateFolder, refuseLeak } from '../../support/secrets.ts'

const keystoreIn = (dir: string): Keystore => openKeystore({ dir, passphrase: passphrase('correct horse') })

async function made(t: Test, splitting = { threshold: 3, shares: 5 }) {
  const keystore = keystoreIn(join(privateFolder(t), 'keys'))
  const info = await keystore.generate({ algorithm: 'ed25519', name: 'root of Alice', encrypted: true })
  return { keystore, info, texts: await keystore.exportShares(info.id, splitting) }
}

/** What `tagseal key import` makes of share files called `1.txt`, `2.txt`, ... */
function join3(...texts: readonly string[]): ForeignKey {
  const [first, ...others] = texts.map((text, i) => ({ file: `${i + 1}.txt`, share: readShare(text, `${i + 1}.txt`) }))
  if (first === undefined) throw new Error('no shares')
  return joinShares([first, ...others])
}

async function imported(t: Test, key: ForeignKey, name?: string): Promise<KeyInfo> {
  const keystore = keystoreIn(join(privateFolder(t), 'keys'))
  const info = await keystore.import({ pem: key, encrypted: true, ...(name !== undefined && { name }) })
  const signer = await keystore.open(info.id)
  t.equal((await signer.sign(Buffer.from('a payload'))).length > 0, true)
  signer.close()
  return info
}

function codeOf(use: () => unknown): string | undefined {
  try {
    use()
  } catch (error) {
    if (isKeyError(error)) return error.code
    throw error
  }
  return undefined
}

for (const algorithm of ALGORITHMS.filter((name) => name !== 'ecdsa-p521')) {
  await t.test(`any two of three shares bring an ${algorithm} key back`, async (t) => {
    const keystore = keystoreIn(join(privateFolder(t), 'keys'))
    const info = await keystore.generate({ algorithm, encrypted: false })
    const [one = '', two = '', three = ''] = await keystore.exportShares(info.id, { threshold: 2, shares: 3 })
    for (const pair of [
      [one, two],
      [three, one],
      [two, three],
    ]) {
      t.equal((await imported(t, join3(...pair))).id, info.id)
    }
  })
}

await t.test('more shares than are needed bring the key back as well, with its name', async (t) => {
  const { info, texts } = await made(t)
  const key = join3(...texts)
  t.equal(key.name, 'root of Alice')
  t.equal((await imported(t, key)).id, info.id)
})

await t.test('a holder cannot have the key that comes back be called otherwise', async (t) => {
  const { texts } = await made(t)
  const [first = '', ...others] = texts
  const own = readShare(first, '1.txt')
  for (const altered of [
    { ...own, name: 'release' },
    { ...own, notary: { role: 'targets', gun: 'docker.io/team/app' } },
  ]) {
    t.equal(
      codeOf(() => join3(writeShare(altered), ...others)),
      'SHARES_MIXED',
    )
  }
})

await t.test('what Notary wrote beside a key comes back with it', async (t) => {
  const share: Share = { ...shareOf(), notary: { role: 'targets', gun: 'docker.io/team/app' } }
  t.strictSame(readShare(writeShare(share), 'a').notary, share.notary)
  const root: Share = { ...shareOf(), notary: { role: 'root' } }
  t.match(
    joinShares([
      { file: 'a', share: root },
      { file: 'b', share: { ...root, number: 2 } },
    ]),
    { role: 'root' },
  )
})

function shareOf(): Share {
  const bytes = Uint8Array.from({ length: 49 }, (_, i) => i)
  return { number: 1, of: 5, threshold: 2, id: 'ab'.repeat(32), set: '0123456789abcdef', bytes }
}

await t.test('a share is short enough to be typed, and says what it is', async (t) => {
  const { info, texts } = await made(t)
  const [text = ''] = texts
  t.ok(isShareText(text))
  t.match(text, `key: ${info.id}`)
  t.match(text, 'tagseal key import SHARE SHARE SHARE')
  t.equal(text.split('\n').filter((line) => /^\d+:/.test(line)).length, 3)
  t.ok(text.split('\n').every((line) => line.length < 100))
  t.ok(writeShare({ ...shareOf(), threshold: 9, of: 9 }).includes('tagseal key import SHARE SHARE ...'))
})

const TYPED: Record<string, (text: string) => string> = {
  'in small letters': (text) => text.replaceAll(/^(\d+|check):.*$/gm, (line) => line.toLowerCase()),
  'without blanks in its lines': (text) =>
    text.replaceAll(/^(\d+|check): (.*)$/gm, (_, at: string, rest: string) => `${at}: ${rest.replaceAll(' ', '')}`),
  'without the words for whoever finds it': (text) =>
    text
      .split('\n')
      .filter((line) => /^(?:tagseal|\S+:) /.test(line))
      .join('\n'),
  'with the line ends of another system': (text) => text.replaceAll('\n', '\r\n'),
  'with blank lines and blanks around it': (text) => `\n\n  ${text.replaceAll('\n', '  \n\n')}`,
}
for (const [name, change] of Object.entries(TYPED)) {
  await t.test(`reads a share that was typed ${name}`, async (t) => {
    const text = writeShare(shareOf())
    t.not(change(text), text)
    t.strictSame(readShare(change(text), 'a'), shareOf())
  })
}

const BROKEN: Record<string, { change: (text: string) => string; code: string }> = {
  'a letter is wrong': { change: (text) => text.replace(/^(2: .)./m, '$1Z'), code: 'SHARE_DAMAGED' },
  'a letter is none': { change: (text) => text.replace(/^(2: .)./m, '$11'), code: 'SHARE_DAMAGED' },
  'two letters changed places': { change: (text) => text.replace(/^(2: )(.)(.)/m, '$1$3$2'), code: 'SHARE_DAMAGED' },
  'a line is missing': { change: (text) => text.replace(/^2:.*\n/m, ''), code: 'SHARE_DAMAGED' },
  'the last line is missing': { change: (text) => text.replace(/^3:.*\n/m, ''), code: 'SHARE_DAMAGED' },
  'a line is there twice': { change: (text) => text.replace(/^(2:.*\n)/m, '$1$1'), code: 'SHARE_DAMAGED' },
  'its lines changed places': { change: (text) => text.replace(/^(2:.*\n)(3:.*\n)/m, '$2$1'), code: 'SHARE_DAMAGED' },
  'its number was changed': { change: (text) => text.replace('share: 1 of', 'share: 2 of'), code: 'SHARE_DAMAGED' },
  'its key was changed': { change: (text) => text.replace('key: ab', 'key: ac'), code: 'SHARE_DAMAGED' },
  'it has no check': { change: (text) => text.replace(/^check:.*$/m, ''), code: 'SHARE_MALFORMED' },
  'it has no lines': { change: (text) => text.replaceAll(/^\d:.*\n/gm, ''), code: 'SHARE_MALFORMED' },
  'it has lines without end': {
    change: (text) => text.replace(/^check/m, '9: AAAA\n'.repeat(600) + 'check'),
    code: 'SHARE_MALFORMED',
  },
  'its number is none': {
    change: (text) => text.replace('share: 1 of 5', 'share: one of five'),
    code: 'SHARE_MALFORMED',
  },
  'its number is above all': {
    change: (text) => text.replace('share: 1 of 5', 'share: 6 of 5'),
    code: 'SHARE_MALFORMED',
  },
  'one alone would do': { change: (text) => text.replace('threshold: 2', 'threshold: 1'), code: 'SHARE_MALFORMED' },
  'its name is none': { change: (text) => text.replace('set:', 'name: -\nset:'), code: 'SHARE_MALFORMED' },
  'it is of a format to come': { change: (text) => text.replace('format 1', 'format 2'), code: 'SHARE_MALFORMED' },
  'something was written beside it': {
    change: (text) => text.replace(/^set/m, 'and more\nset'),
    code: 'SHARE_MALFORMED',
  },
  'one number has another spelling': {
    change: (text) => text.replace('threshold: 2', 'threshold: 02'),
    code: 'SHARE_MALFORMED',
  },
}
for (const [name, { change, code }] of Object.entries(BROKEN)) {
  await t.test(`refuses a share where ${name}`, async (t) => {
    const text = writeShare(shareOf())
    t.not(change(text), text)
    t.equal(
      codeOf(() => readShare(change(text), 'a.txt')),
      code,
    )
    t.throws(() => readShare(change(text), 'a.txt'), /a\.txt/)
  })
}

await t.test('shares that do not belong together are refused by what is wrong with them', async (t) => {
  const { keystore, info, texts } = await made(t)
  const [one = '', two = '', three = ''] = texts
  const other = await made(t)
  const again = await keystore.exportShares(info.id, { threshold: 3, shares: 5 })
  const wider = await keystore.exportShares(info.id, { threshold: 2, shares: 5 })
  t.equal(
    codeOf(() => join3(one, two)),
    'SHARES_TOO_FEW',
  )
  t.equal(
    codeOf(() => join3(one)),
    'SHARES_TOO_FEW',
  )
  t.equal(
    codeOf(() => join3(one, two, one)),
    'SHARE_TWICE',
  )
  t.equal(
    codeOf(() => join3(one, two, other.texts[2] ?? '')),
    'SHARES_MIXED',
  )
  t.equal(
    codeOf(() => join3(one, two, again[2] ?? '')),
    'SHARES_MIXED',
  )
  t.equal(
    codeOf(() => join3(one, two, wider[2] ?? '')),
    'SHARES_MIXED',
  )
  t.equal(
    codeOf(() => join3(one, two, three)),
    undefined,
  )
})

const LIES: Record<string, (share: Share, others: readonly Share[]) => Uint8Array> = {
  'a holder changed a bit': (share) => share.bytes.map((byte, i) => (i === 40 ? byte ^ 1 : byte)),
  'a holder made up another key': (share) => share.bytes.map((byte, i) => (i < 16 ? byte : byte ^ 0x55)),
  'a holder put the share where another lies': (share, [other]) =>
    share.bytes.map((byte, i) => (i === 48 ? (other?.bytes[48] ?? 0) : byte)),
  'a holder put the share at zero, where the key is': (share) => share.bytes.map((byte, i) => (i === 48 ? 0 : byte)),
  'a holder has nothing but zeros': (share) => share.bytes.map((byte, i) => (i === 48 ? byte : 0)),
}
for (const [name, lie] of Object.entries(LIES)) {
  await t.test(`refuses shares where ${name} and made the checks anew, and stores nothing`, async (t) => {
    const { texts } = await made(t)
    const [one, two, three] = texts.map((text) => readShare(text, 'a'))
    if (one === undefined || two === undefined || three === undefined) throw new Error('there are five')
    const lied = writeShare({ ...three, bytes: lie(three, [one, two]) })
    const keystore = keystoreIn(join(privateFolder(t), 'keys'))
    const joined = join3(texts[0] ?? '', texts[1] ?? '', lied)
    await t.rejects(keystore.import({ pem: joined, encrypted: true }), { code: 'SHARES_WRONG' })
    t.strictSame(await keystore.list(), [])
  })
}

await t.test('fewer shares than are needed, and every refusal, show nothing of the key', async (t) => {
  const { keystore, info, texts } = await made(t)
  const signer = await keystore.exportPrivate(info.id, 'none')
  const secret = Buffer.from(signer.split('\n')[1] ?? '', 'base64').subarray(16, 48)
  for (const text of texts) refuseLeak(t, text, secret, 'a share')
  const lied = readShare(texts[2] ?? '', 'a')
  const joined = join3(
    texts[0] ?? '',
    texts[1] ?? '',
    writeShare({ ...lied, bytes: lied.bytes.map((byte) => byte ^ 1) }),
  )
  const error: unknown = await joined.open(passphrase('unused')).catch((caught: unknown) => caught)
  refuseLeak(t, everythingShown(error), secret, 'the refusal')
})

await t.test('the bytes of shares are wiped once they were joined', async (t) => {
  const { texts } = await made(t)
  const [one, two, three] = texts.map((text, i) => ({ file: `${i}`, share: readShare(text, 'a') }))
  if (one === undefined || two === undefined || three === undefined) throw new Error('there are five')
  const secret = await joinShares([one, two, three]).open(passphrase('unused'))
  secret.close()
  t.ok([one, two, three].every(({ share }) => share.bytes.every((byte) => byte === 0)))
})
