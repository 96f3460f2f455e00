/** What podman, CRI-O and skopeo need to see for themselves which tag a digest is of, by the key of a gateway. */
import type { Gateway } from './gateway.ts'

export const BRIDGE_KEY = '/etc/containers/tagseal-bridge.pub'
export const ATTACHMENTS = '/etc/containers/registries.d/tagseal.yaml'

type Scopes = Readonly<Record<string, readonly object[]>>

/** For `policy.json`. Images may be named through the gateway as well; what is signed is the name of their registry. */
export function signedScopes(gateway: Gateway, registries: readonly string[]): Scopes {
  const signed = { type: 'sigstoreSigned', keyPath: BRIDGE_KEY }
  const scopes = registries.flatMap((registry): [string, readonly object[]][] => {
    const prefix = nameThrough(gateway, registry)
    return [
      [registry, [signed]],
      [prefix, [{ ...signed, signedIdentity: { type: 'remapIdentity', prefix, signedPrefix: registry } }]],
    ]
  })
  return Object.fromEntries(scopes)
}

/** For `registries.d`: that signatures are asked for at all. By its own name, and by that of where it is fetched. */
export function attachmentsFile(gateway: Gateway, registries: readonly string[], by: string): string {
  const names = new Set([...registries, gateway.host])
  const entries = [...names].map((name) => `  "${name}":\n    use-sigstore-attachments: true\n`)
  return `# Written by "${by}". Signatures are beside the image, where the gateway makes them.\ndocker:\n${entries.join('')}`
}

/** A port cannot stand within a path: such a registry has to be the one that the gateway means where none is named. */
export function nameThrough({ host }: Gateway, registry: string): string {
  return registry.includes(':') ? host : `${host}/${registry}`
}
