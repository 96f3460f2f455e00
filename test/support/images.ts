import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'

/** Bytes with their names, as a registry keeps them. */
export type Stored = {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly bytes: Uint8Array
}
export type BuiltImage = { readonly manifest: Stored; readonly config: Stored; readonly layers: readonly Stored[] }
export type BuiltIndex = { readonly index: Stored; readonly images: readonly BuiltImage[] }
export type ImagePlan = {
  readonly os?: string
  readonly architecture?: string
  readonly variant?: string
  /** docker's own media types instead of OCI's. */
  readonly docker?: boolean
  /** One layer per entry: file name to what is in it. */
  readonly layers?: readonly Readonly<Record<string, string | Uint8Array>>[]
}

const OCI = 'application/vnd.oci.image'
const DOCKER = 'application/vnd.docker'

/** A real image: gzipped tar layers, a config with their diff ids, and the manifest over both. */
export function buildImage(plan: ImagePlan = {}): BuiltImage {
  const { docker = false, layers: files = [{ 'etc/motd': 'hello\n' }, { 'app/run': '#!/bin/sh\necho hi\n' }] } = plan
  const tars = files.map(tar)
  const layerType = docker ? `${DOCKER}.image.rootfs.diff.tar.gzip` : `${OCI}.layer.v1.tar+gzip`
  const layers = tars.map((bytes) => stored(layerType, gzipSync(bytes)))
  const { os = 'linux', architecture = 'amd64', variant } = plan
  const platform = { architecture, os, ...(variant === undefined ? {} : { variant }) }
  const rootfs = { type: 'layers', diff_ids: tars.map((bytes) => sha256(bytes)) }
  const configType = docker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`
  const config = json(configType, { ...platform, config: { Cmd: ['/app/run'] }, rootfs, history: [] })
  const mediaType = docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`
  const body = { schemaVersion: 2, mediaType, config: entry(config), layers: layers.map(entry) }
  return { manifest: json(mediaType, body), config, layers }
}

/** An index over one image per plan. */
export function buildIndex(
  plans: readonly ImagePlan[] = [{ architecture: 'amd64' }, { architecture: 'arm64' }],
): BuiltIndex {
  const images = plans.map((plan, at) =>
    buildImage({ layers: [{ shared: 'same everywhere\n' }, { own: `${at}\n` }], ...plan }),
  )
  const manifests = images.map(({ manifest }, at) => {
    const { os = 'linux', architecture = 'amd64', variant } = plans[at] ?? {}
    return { ...entry(manifest), platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }
  })
  const docker = plans.every((plan) => plan.docker === true)
  const mediaType = docker ? `${DOCKER}.distribution.manifest.list.v2+json` : `${OCI}.index.v1+json`
  return { index: json(mediaType, { schemaVersion: 2, mediaType, manifests }), images }
}

export function everythingOf(built: BuiltImage | BuiltIndex): readonly Stored[] {
  if ('index' in built) return [built.index, ...built.images.flatMap(everythingOf)]
  return [built.manifest, built.config, ...built.layers]
}

export function topOf(built: BuiltImage | BuiltIndex): Stored {
  return 'index' in built ? built.index : built.manifest
}

/** The descriptor of some content. */
export function entry({ mediaType, digest, size }: Stored): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size }
}

export function json(mediaType: string, value: unknown): Stored {
  return stored(mediaType, Buffer.from(JSON.stringify(value)))
}

export function stored(mediaType: string, bytes: Uint8Array): Stored {
  return { mediaType, bytes, size: bytes.length, digest: sha256(bytes) }
}

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A program for Linux on x86-64 that says a line of up to 100 letters, and needs nothing around it. */
export function programSaying(text: string): Uint8Array {
  const said = Buffer.from(`${text}\n`)
  const [base, start] = [0x400000, 0x78]
  const code = Buffer.from('b801000000bf01000000be00000000ba000000000f05b83c00000031ff0f05', 'hex') // write, exit
  code.writeUInt32LE(base + start + code.length, 11)
  code.writeUInt32LE(said.length, 16)
  const total = start + code.length + said.length
  const head = Buffer.alloc(start)
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  for (const [at, half] of [
    [16, 2],
    [18, 62],
    [20, 1],
    [52, 64],
    [54, 56],
    [56, 1],
    [64, 1],
    [68, 5],
  ] as const) {
    head.writeUInt16LE(half, at)
  }
  for (const [at, word] of [
    [24, base + start],
    [32, 64],
    [80, base],
    [88, base],
    [96, total],
    [104, total],
  ] as const) {
    head.writeUInt32LE(word, at)
  }
  head.writeUInt16LE(0x1000, 112)
  return Buffer.concat([head, code, said])
}

/** A ustar archive of small files, with nothing in it that changes from run to run. */
function tar(files: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const blocks = Object.entries(files).flatMap(([name, text]) => {
    const content = typeof text === 'string' ? Buffer.from(text) : text
    return [tarHeader(name, content.length), content, Buffer.alloc((512 - (content.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

function tarHeader(name: string, size: number): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, width: number) => `${value.toString(8).padStart(width - 1, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o755, 8) + octal(0, 8) + octal(0, 8) + octal(size, 12) + octal(0, 12), 100)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}
