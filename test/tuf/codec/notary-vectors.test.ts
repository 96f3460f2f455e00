import t from 'tap'
import { nativeSuite } from '../../../keys/native/suite.ts'
import { portableSuite } from '../../../keys/portable/suite.ts'
import { memoCodec, memoSuite } from '../../../server/publish/memo.ts'
import { DEFAULT_LIMITS, notaryCodec } from '../../../tuf/index.ts'
import { NOTARY_STATES, filesOf, judgeOf, load, loadsWith, readFrom } from '../../support/notary-vectors.ts'

const context = { suite: nativeSuite, limits: DEFAULT_LIMITS }

/** The delegated roles that each state has files of. */
const DELEGATED: Readonly<Record<string, readonly string[]>> = {
  '01-alpha-delegation-x509': ['targets/releases'],
  '04-delta-rsa-root-many-delegations': ['targets/qa', 'targets/releases', 'targets/releases/nightly'],
  '08-docker-trust-signers': ['targets/alice', 'targets/releases'],
  '14-pg-remote-signer-ecdsa-timestamp': ['targets/releases'],
}

for (const state of Object.keys(NOTARY_STATES)) {
  const read = readFrom(state)
  for (const [name, suite] of Object.entries({ native: nativeSuite, portable: portableSuite })) {
    await t.test(`${state} loads with the ${name} suite`, async (t) => {
      const { trust, roles } = load(state, judgeOf(state, suite), read)
      t.equal(trust.codec.dialect, 'notary-v1')
      t.strictSame([...roles.keys()].sort(), ['targets', ...(DELEGATED[state] ?? [])])
    })
  }

  await t.test(`every file of ${state} is written back byte for byte`, async (t) => {
    const files = filesOf(state)
    t.ok(files.length >= 6)
    for (const { name, type } of files) {
      const bytes = read(name)
      const { body, payload, signatures } = notaryCodec.decode(type, bytes, context)
      t.ok(Buffer.from(notaryCodec.assemble(body, signatures)).equals(bytes), name)
      t.ok(Buffer.from(notaryCodec.resign(bytes, signatures, context)).equals(bytes), `${name}, signed anew`)
      t.ok(Buffer.from(notaryCodec.encode(body)).equals(payload), `${name}, the bytes to sign`)
    }
  })

  await t.test(`no byte of ${state} can be another`, async (t) => {
    const plain = judgeOf(state)
    // What stays as it is need not be judged again for each byte that changes beside it.
    const judge = { ...plain, codec: memoCodec(plain.codec), suite: memoSuite(plain.suite) }
    const served = filesOf(state).filter(({ name }) => name.endsWith('root') || !/^\d/.test(name))
    for (const { name } of served.filter(({ name }) => name !== 'root')) {
      const bytes = read(name)
      t.ok(loadsWith(state, judge, read, name, bytes.slice()), `${name} as it is`)
      const taken: number[] = []
      for (let at = 0; at < bytes.length; at += stepFor(name)) {
        const byte = bytes[at] ?? 0
        if (loadsWith(state, judge, read, name, bytes.with(at, byte ^ 1))) taken.push(at)
      }
      t.strictSame(taken, [], name)
    }
  })
}

/** Every byte of what no other file lists; a sample of roots, and of files whose hash is listed. */
function stepFor(name: string): number {
  if (name === 'timestamp') return 1
  return name.endsWith('root') ? 5 : 41
}
