/**
 * Signatures beside an image, as cosign keeps them and containers/image (podman, CRI-O, skopeo) reads them: a manifest
 * under a tag made from the image's digest, whose layers are the statements, each with its signature in an annotation.
 */
import { toBase64 } from '../../keys/bytes.ts'
import { digestOf } from '../registry/digest.ts'
import type { Descriptor } from '../registry/manifest.ts'
import { OCI_MANIFEST } from '../registry/media-types.ts'
import type { Opened } from './manifests.ts'

/** That `image`, a repository with its tag, is the manifest with this digest. */
export type Statement = { readonly image: string; readonly digest: string }
export type SignedPayload = { readonly payload: Uint8Array; readonly signature: Uint8Array }

const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json'
const SIGNATURE = 'dev.cosignproject.cosign/signature'

/** There is nothing to say of the whole, and every manifest must have a config: OCI's empty one. */
export const EMPTY_CONFIG: Uint8Array = Buffer.from('{}')

/** The digest of whose image the signatures are asked for; undefined where a tag is not of that form. */
export function attachedTo(tag: string): string | undefined {
  const [, hex] = /^sha256-([0-9a-f]{64})\.sig$/.exec(tag) ?? []
  return hex && `sha256:${hex}`
}

/**
 * Always the same bytes for the same statement, with no time in them: gateways behind one address answer alike, and
 * nobody who reads signatures of this form would look at a time anyway.
 */
export function payloadOf({ image, digest }: Statement): Uint8Array {
  const critical = {
    identity: { 'docker-reference': image },
    image: { 'docker-manifest-digest': digest },
    type: 'cosign container image signature',
  }
  return Buffer.from(JSON.stringify({ critical, optional: { creator: 'tagseal gateway' } }))
}

export function attachmentOf(signed: readonly SignedPayload[]): Opened {
  const config = { ...descriptorOf('application/vnd.oci.empty.v1+json', EMPTY_CONFIG) }
  const layers = signed.map(({ payload, signature }) => ({
    ...descriptorOf(PAYLOAD, payload),
    annotations: { [SIGNATURE]: toBase64(signature) },
  }))
  const manifest = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    artifactType: 'application/vnd.dev.cosign.artifact.sig.v1+json',
    config,
    layers,
  }
  const bytes = Buffer.from(JSON.stringify(manifest))
  const children: readonly Descriptor[] = [config, ...layers].map((one) => ({ ...one, urls: [] }))
  return { digest: digestOf(bytes), bytes, mediaType: OCI_MANIFEST, kind: 'image', children }
}

function descriptorOf(mediaType: string, bytes: Uint8Array) {
  return { mediaType, digest: digestOf(bytes), size: bytes.length }
}
