import { KeyError } from '../../errors.ts'
import { sameKey } from '../../keystore/key-file.ts'
import { checkedSigner } from '../checked.ts'
import type { Custodian, FoundKey, Surroundings } from '../custodian.ts'
import { isUnfit } from '../custodian.ts'
import { malformed } from '../reference.ts'
import { digestFor, ON_TOKEN } from './mechanisms.ts'
import { loadModule } from './module.ts'
import type { Module } from './module.ts'
import { generatePair, onlyPublic, privateKey, publicObjects } from './objects.ts'
import type { PublicObject } from './objects.ts'
import { openToken } from './token.ts'
import type { Token } from './token.ts'
import { formatUri, parseUri } from './uri.ts'
import type { Pkcs11Uri } from './uri.ts'

/** Keys on tokens, by PKCS#11 URI. Each module is loaded once, each token logged in to once. */
export function openPkcs11(surroundings: Surroundings): Custodian {
  const modules = new Map<string, Promise<Module>>()
  const tokens = new Map<string, Promise<Token>>()

  return {
    async find(reference) {
      const uri = parsed(reference)
      if (uri.object === undefined && uri.id === undefined) throw malformed(reference, 'it names no object and no id')
      const token = await tokenOf(uri)
      return foundKey(uri, token, onlyPublic(token, uri))
    },
    async list(reference) {
      const uri = parsed(reference)
      const token = await tokenOf(uri)
      return publicObjects(token, uri).map((key) => (isUnfit(key) ? key : foundKey(uri, token, key)))
    },
    async open(reference, material) {
      const uri = parsed(reference)
      const token = await tokenOf(uri)
      const found = onlyPublic(token, uri)
      if (!sameKey(found.public, material)) {
        throw new KeyError('SIGNER_UNFIT', {
          key: `"${found.label}" on ${token.name}`,
          why: 'it is another key by now',
        })
      }
      await token.login(uri.pinSource)
      const key = privateKey(token, found)
      const { mechanism, signature } = ON_TOKEN[material.algorithm]
      return checkedSigner({
        public: material,
        signer: token.name,
        sign: async (payload, computation) =>
          signature(await token.sign(key, mechanism, digestFor(computation, payload))),
      })
    },
    async generate(reference, algorithm) {
      const uri = parsed(reference)
      if (uri.object === undefined) throw malformed(reference, 'say what the new key is called: object=NAME')
      if (uri.id !== undefined) throw malformed(reference, 'a new key gets an id of its own')
      const token = await tokenOf(uri)
      if (publicObjects(token, { object: uri.object }).length > 0) {
        throw new KeyError('KEY_EXISTS', { id: `"${uri.object}"`, path: token.name })
      }
      await token.login(uri.pinSource)
      return foundKey(uri, token, generatePair(token, uri.object, algorithm))
    },
    async close() {
      const opened = await settled(tokens)
      for (const token of opened) token.close()
      if (!opened.some((token) => token.isStuck())) for (const module of await settled(modules)) module.close()
      tokens.clear()
      modules.clear()
    },
  }

  function parsed(reference: string): Pkcs11Uri & { readonly modulePath: string } {
    const uri = parseUri(reference)
    const modulePath = uri.modulePath ?? surroundings.module
    if (modulePath !== undefined) return { ...uri, modulePath }
    throw malformed(reference, 'it names no module: add ?module-path=/path/to/module.so, or set TAGSEAL_PKCS11_MODULE')
  }

  function tokenOf(uri: Pkcs11Uri & { readonly modulePath: string }): Promise<Token> {
    const { token, manufacturer, serial, model, modulePath } = uri
    const key = JSON.stringify([token, manufacturer, serial, model, modulePath])
    return remembered(tokens, key, async () => {
      const { cryptoki } = await remembered(modules, modulePath, () => loadModule(modulePath))
      return openToken(cryptoki, uri, surroundings)
    })
  }
}

/** Stored with the id, which no second object has, and with the token's label. */
function foundKey(uri: Pkcs11Uri, token: Token, { id, label, public: material }: PublicObject): FoundKey {
  const named = { ...uri, token: token.label, object: label, ...(id.length > 0 && { id }) }
  return { reference: formatUri(named), public: material, label, asks: true }
}

function remembered<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const made = known.get(key) ?? make()
  known.set(key, made)
  return made
}

/** What failed to open failed where it was used. */
async function settled<T>(known: ReadonlyMap<string, Promise<T>>): Promise<readonly T[]> {
  const outcomes = await Promise.allSettled(known.values())
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
}
