import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { nativeSuite } from '../../keys/native/suite.ts'
import { portableSuite } from '../../keys/portable/suite.ts'
import { encodeCanonical } from '../../tuf/codec/json.ts'
import { listed } from '../support/tuf-key.ts'

type RootFile = {
  signed: {
    keys: Record<string, { keytype: string; scheme: string; keyval: { public: string } }>
    roles: { root: { keyids: string[]; threshold: number } }
  }
  signatures: { keyid: string; sig: string }[]
}

const folder = new URL('../../../shared/vectors/tuf/sigstore-root-signing/metadata/', import.meta.url)
const roots = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.root.json')) : []

if (roots.length === 0) t.pass(`SKIPPED: the real roots are not at ${folder.pathname}`)

for (const name of roots) {
  await t.test(
    `${name}: both suites open every key and find the same good signatures, enough for the threshold`,
    async (t) => {
      const root = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as RootFile
      const payload = encodeCanonical(root.signed)
      const good = [nativeSuite, portableSuite].map((suite) => {
        const verified = root.signatures.filter(({ keyid, sig }) => {
          const key = root.signed.roles.root.keyids.includes(keyid) ? root.signed.keys[keyid] : undefined
          if (key === undefined) return false
          return (
            suite.open(listed({ ...key, public: key.keyval.public }))?.verify(payload, Buffer.from(sig, 'hex')) === true
          )
        })
        return verified.map(({ keyid }) => keyid)
      })
      t.strictSame(good[0], good[1])
      t.ok(new Set(good[0]).size >= root.signed.roles.root.threshold, `${good[0]?.length} good signatures`)
      for (const key of Object.values(root.signed.keys)) {
        const asked = listed({ ...key, public: key.keyval.public })
        t.type(nativeSuite.open(asked)?.identity, 'string', `${key.keytype} ${key.scheme}`)
        t.equal(nativeSuite.open(asked)?.identity, portableSuite.open(asked)?.identity)
      }
    },
  )
}
