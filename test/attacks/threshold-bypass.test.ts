/** One key that passes for two, and thresholds that ask for nobody. */
import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { ROOT, roleName, TARGETS, tufCodec } from '../../tuf/index.ts'
import { refuseAll, rewrite } from '../support/attack-lab.ts'
import type { Attack } from '../support/attack-lab.ts'
import { changeRoot, signRoot, signTargets, setTag } from '../server/support/party.ts'
import { edited, refuseUploads } from '../support/upload-lab.ts'
import { renamed, signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const TEAM = roleName('team')
const ONE = signingKey()
const CURVE = signingKey('ecdsa-p256')

/** The same key, written otherwise: under another key id, therefore. */
function alias(key: SigningKey, change: { keytype?: string; public?: string }): SigningKey {
  const { keytype, scheme, public: text } = key.public
  const listed = tufCodec.key({ keytype, scheme, public: text, ...change }, nativeSuite)
  return { ...key, id: listed.id, public: listed }
}
const pem = (edit: (base64: string) => string) => {
  const base64 = CURVE.public.public.replaceAll(/-----[^-]+-----|\n/g, '')
  return alias(CURVE, { public: `-----BEGIN PUBLIC KEY-----\n${edit(base64)}\n-----END PUBLIC KEY-----\n` })
}

const PAIRS: Record<string, readonly [SigningKey, SigningKey]> = {
  'one key under two key ids': [ONE, renamed(ONE, 'again')],
  'one key in upper-case hex as well': [ONE, alias(ONE, { public: ONE.public.public.toUpperCase() })],
  'one key under two keytypes': [CURVE, alias(CURVE, { keytype: 'ecdsa-sha2-nistp256' })],
  'one PEM with lines of another length': [CURVE, pem((base64) => base64.replaceAll(/.{40}/g, '$&\n'))],
  'one PEM without its last line end': [CURVE, alias(CURVE, { public: CURVE.public.public.trimEnd() })],
  'one PEM with the line ends of Windows': [
    CURVE,
    alias(CURVE, { public: CURVE.public.public.replaceAll('\n', '\r\n') }),
  ],
}
const targetsOfTwo = (keys: readonly SigningKey[]): Attack['attack'] => {
  return (simulator) => {
    simulator.publishRoot({ targets: keys }, { thresholds: { targets: 2 } })
    simulator.sign({ '1.0': targetOf('evil') })
  }
}
const rotateAway = (simulator: Simulator) => {
  simulator.publishRoot({ targets: [signingKey(), signingKey()] }, { thresholds: { targets: 2 } })
  simulator.sign({ '1.0': targetOf('two') })
}
const ONLINE = ['timestamp.json', 'snapshot.json']

await refuseAll(
  t,
  Object.fromEntries(
    Object.entries(PAIRS).map(([name, keys], i) => [
      `${name}, where two must sign`,
      {
        attack: targetsOfTwo(keys),
        code: 'THRESHOLD',
        stores: ['root.json', ...ONLINE],
        after: rotateAway,
        libraryOnly: i > 0,
      },
    ]),
  ),
)

await refuseAll(t, {
  'a delegated role where one key under two ids signs for two': {
    attack: (simulator) => {
      simulator.delegate(TARGETS, TEAM, { signers: [ONE, renamed(ONE, 'again')], threshold: 2 })
      simulator.sign({ 'team-1': targetOf('evil') }, TEAM)
    },
    tag: 'team-1',
    code: 'THRESHOLD',
    stores: [...ONLINE, 'targets.json'],
    libraryOnly: true,
  },
  'one signature twice': {
    before: (simulator) => {
      simulator.publishRoot({ targets: [ONE, CURVE] }, { thresholds: { targets: 2 } })
      simulator.sign({ '1.0': targetOf('one') })
    },
    attack: (simulator) => {
      simulator.signers.set(TARGETS, [ONE, ONE])
      simulator.sign({ '1.0': targetOf('evil') })
    },
    code: 'MALFORMED',
    stores: ONLINE,
  },
  'one of two signatures': {
    before: (simulator) => {
      simulator.publishRoot({ targets: [ONE, CURVE] }, { thresholds: { targets: 2 } })
      simulator.sign({ '1.0': targetOf('one') })
    },
    attack: (simulator) => {
      simulator.signers.set(TARGETS, [ONE])
      simulator.sign({ '1.0': targetOf('evil') })
    },
    code: 'THRESHOLD',
    stores: ONLINE,
    libraryOnly: true,
  },
})

/** The threshold of targets, as the text of a root or of a delegation has it. */
const THRESHOLDS: Record<string, string> = {
  'of 0': ',"threshold":0',
  'of -1': ',"threshold":-1',
  'of 1.5': ',"threshold":1.5',
  'of 1.0': ',"threshold":1.0',
  'that is text': ',"threshold":"2"',
  'that is null': ',"threshold":null',
  'that is false': ',"threshold":false',
  'of 1e400': ',"threshold":1e400',
  'that is missing': '',
  'that is there twice': ',"threshold":1,"threshold":0',
}
const inRoot = (text: string) => (root: string) =>
  root.replace(/("targets":\{"keyids":\["[0-9a-f]+"\]),"threshold":1/, (_, keyids: string) => keyids + text)

await refuseAll(
  t,
  Object.fromEntries<Attack>(
    Object.entries(THRESHOLDS).flatMap(([name, text], i): [string, Attack][] => [
      [
        `a root with a threshold ${name}`,
        {
          attack: (simulator: Simulator) => {
            simulator.publishRoot()
            rewrite(simulator, ROOT, inRoot(text))
          },
          code: 'MALFORMED',
          after: (simulator: Simulator) => void simulator.files.delete('3.root.json'),
          libraryOnly: i > 0,
        },
      ],
      [
        `a delegation with a threshold ${name}`,
        {
          attack: (simulator: Simulator) => {
            simulator.delegate(TARGETS, TEAM)
            rewrite(simulator, TARGETS, (file) => file.replace(',"threshold":1', text))
            simulator.sign({ 'team-1': targetOf('evil') }, TEAM)
          },
          tag: 'team-1',
          code: 'MALFORMED',
          stores: ONLINE,
          libraryOnly: true,
        },
      ],
    ]),
  ),
)

await refuseAll(t, {
  'a key id twice in one role': {
    attack: (simulator) => {
      simulator.publishRoot()
      rewrite(simulator, ROOT, (root) => root.replace(/"targets":\{"keyids":\[("[0-9a-f]+")/, '$&,$1'))
    },
    code: 'MALFORMED',
    libraryOnly: true,
    after: (simulator) => void simulator.files.delete('3.root.json'),
  },
})

await refuseUploads(t, {
  ...Object.fromEntries(
    Object.entries(THRESHOLDS).map(([name, text]) => [
      `a root with a threshold ${name}`,
      {
        send: async ({ owner, now }) => {
          changeRoot(owner, now, {})
          return { root: await edited(await signRoot(owner), inRoot(text), owner.rootKey) }
        },
        code: 'INVALID_UPDATE',
        inner: 'MALFORMED',
      },
    ]),
  ),
  'one signature twice': {
    send: async ({ owner, now }) => {
      setTag(owner, now, 'x', 'x')
      const file = Buffer.from(await signTargets(owner)).toString()
      return { targets: Buffer.from(file.replace(/"signatures":\[(\{[^}]+\})/, '$&,$1')) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
})
