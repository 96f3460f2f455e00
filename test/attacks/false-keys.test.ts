/** Keys that are not what they are called: foreign key ids, another algorithm, keys that anybody can sign with. */
import { generateKeyPairSync, sign } from 'node:crypto'
import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { decodeHex, ROOT, roleName, TARGETS, tufCodec } from '../../tuf/index.ts'
import { refuseAll, rewrite } from '../support/attack-lab.ts'
import { changeRoot, signRoot } from '../server/support/party.ts'
import { edited, refuseUploads } from '../support/upload-lab.ts'
import { signingKey } from '../support/signing-key.ts'
import type { SigningKey } from '../support/signing-key.ts'
import { targetOf } from '../support/simulator.ts'
import type { Simulator } from '../support/simulator.ts'

const TEAM = roleName('team')
const THIEF = signingKey()
const CURVE = signingKey('ecdsa-p256')
const RSA = signingKey('rsa-pss')

type Fields = { readonly keytype: string; readonly scheme: string; readonly public: string }
function listedAs(fields: Fields, signer: SigningKey['sign']): SigningKey {
  const listed = tufCodec.key(fields, nativeSuite)
  return { id: listed.id, public: listed, sign: signer }
}
const relabelled = (key: SigningKey, label: Partial<Fields>) => {
  const { keytype, scheme, public: text } = key.public
  return listedAs({ keytype, scheme, public: text, ...label }, key.sign)
}
function weakRsa(modulusLength: number, publicExponent = 65537): SigningKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength, publicExponent })
  const text = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  const salted = { key: privateKey, padding: 6, saltLength: 32 }
  return listedAs(
    { keytype: 'rsa', scheme: 'rsassa-pss-sha256', public: text },
    (payload) => new Uint8Array(sign('sha256', payload, salted)),
  )
}
/** The neutral point: R = A = 0 and S = 0 pass every check of ed25519 that forgets to look for it. */
const NEUTRAL = `01${'00'.repeat(31)}`
const neutral = listedAs(
  { keytype: 'ed25519', scheme: 'ed25519', public: NEUTRAL },
  () => decodeHex(NEUTRAL + '00'.repeat(32)) ?? new Uint8Array(),
)

const KEYS: Record<string, SigningKey> = {
  'an RSA key of 1024 bits': weakRsa(1024),
  'the neutral point for an ed25519 key': neutral,
  'an EC key that is called ed25519': relabelled(CURVE, { keytype: 'ed25519', scheme: 'ed25519' }),
  'an ed25519 key that is called ecdsa': relabelled(THIEF, { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' }),
  'an RSA key that is called ecdsa': relabelled(RSA, { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256' }),
  'a P-256 key that is called P-384': relabelled(CURVE, { scheme: 'ecdsa-sha2-nistp384' }),
  'an RSA key with a scheme that nobody knows': relabelled(RSA, { scheme: 'rsa-pkcs1v15-md5' }),
  'half an ed25519 key': relabelled(THIEF, { public: THIEF.public.public.slice(32) }),
  'a key of nothing': relabelled(THIEF, { public: '' }),
}
const recover = (simulator: Simulator) => {
  simulator.publishRoot({ targets: [signingKey()] })
  simulator.sign({ '1.0': targetOf('two') })
}
for (const [name, key] of Object.entries(KEYS)) {
  await refuseAll(t, {
    [`targets signed by ${name}`]: {
      attack: (simulator) => {
        simulator.publishRoot({ targets: [key] })
        simulator.sign({ '1.0': targetOf('evil') })
      },
      code: 'THRESHOLD',
      stores: ['root.json', 'timestamp.json', 'snapshot.json'],
      libraryOnly: true,
      after: recover, // and a kind of key that nobody knows locks no client out
    },
  })
}

const idOf = (simulator: Simulator, role: typeof ROOT) => simulator.signers.get(role)?.[0]?.id ?? ''
const refused = {
  code: 'MALFORMED',
  after: (simulator: Simulator) => void simulator.files.delete('3.root.json'),
}

await refuseAll(t, {
  "the thief's key under the key id of targets": {
    ...refused,
    attack: (simulator) => {
      const { public: honest } = simulator
        .publishRoot()
        .keys.get(simulator.signers.get(TARGETS)?.[0]?.id ?? THIEF.id) ?? {
        public: '',
      }
      rewrite(simulator, ROOT, (text) => text.replace(honest, THIEF.public.public))
    },
  },
  'a key under an id that somebody made up': {
    ...refused,
    attack: (simulator) => {
      simulator.publishRoot()
      const id = idOf(simulator, TARGETS)
      rewrite(simulator, ROOT, (text) => text.replaceAll(id, '0'.repeat(64)))
    },
    libraryOnly: true,
  },
  'a key under its own id in upper case': {
    ...refused,
    attack: (simulator) => {
      simulator.publishRoot()
      const id = idOf(simulator, TARGETS)
      rewrite(simulator, ROOT, (text) => text.replaceAll(id, id.toUpperCase()))
    },
    libraryOnly: true,
  },
  "a delegation that lists the thief's key under the id of another key": {
    attack: (simulator) => {
      const [honest] = simulator.delegate(TARGETS, TEAM)
      rewrite(simulator, TARGETS, (text) => text.replace(honest?.public.public ?? '', THIEF.public.public))
      simulator.signers.set(TEAM, honest === undefined ? [] : [{ ...THIEF, id: honest.id }])
      simulator.sign({ 'team-1': targetOf('evil') }, TEAM)
    },
    tag: 'team-1',
    code: 'MALFORMED',
    stores: ['timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
  'a role whose key the root does not list': {
    attack: (simulator) => {
      const { id } = THIEF
      simulator.publishRoot()
      const old = idOf(simulator, TARGETS)
      rewrite(simulator, ROOT, (text) =>
        text.replace(`"targets":{"keyids":["${old}"]`, `"targets":{"keyids":["${id}"]`),
      )
      simulator.signers.set(TARGETS, [THIEF])
      simulator.sign({ '1.0': targetOf('evil') })
    },
    code: 'THRESHOLD',
    stores: ['root.json', 'timestamp.json', 'snapshot.json'],
    libraryOnly: true,
  },
})

await refuseUploads(t, {
  "a root with the thief's key under the key id of targets": {
    send: async ({ owner, now }) => {
      changeRoot(owner, now, {})
      const swap = (text: string) => text.replace(owner.targetsKey.key.public, THIEF.public.public)
      return { root: await edited(await signRoot(owner), swap, owner.rootKey) }
    },
    code: 'INVALID_UPDATE',
    inner: 'MALFORMED',
  },
  'a root that gives targets to a key of 1024 bits, with targets that it signed': {
    send: async ({ owner, now }) => {
      const key = KEYS['an RSA key of 1024 bits'] ?? THIEF
      changeRoot(owner, now, { targets: { keys: [key.public], threshold: 1 } })
      const body = { ...owner.targets, version: owner.root.version }
      const sig = key.sign(tufCodec.encode(body))
      return {
        root: await signRoot(owner),
        targets: tufCodec.assemble(body, [{ keyid: key.id, sig, unknown: new Map() }]),
      }
    },
    code: 'INVALID_UPDATE',
    inner: 'THRESHOLD',
  },
})
