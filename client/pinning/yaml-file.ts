/** The images that compose files and Kubernetes manifests name. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, Scalar } from 'yaml'
import type { Document, Node } from 'yaml'
import { imagesInDockerfile } from './dockerfile.ts'
import { expand, malformed, TEMPLATE } from './named.ts'
import type { Named, Place, Values } from './named.ts'
import { imagesAnywhere } from './pods.ts'
import type { Tree } from './pods.ts'

/** Nodes that are looked at, those that an alias repeats each time: a file of ten lines can name a billion. */
const MOST_NODES = 100_000
const DEEPEST = 64

/** With which a compose file takes back what another one says. */
const RESET = '!reset'

type Page = {
  readonly file: string
  readonly document: Document.Parsed
  readonly lineOf: (node: Node) => number
  readonly look: (node: Node, depth: number) => void
}

/** Throws FILE_MALFORMED. */
export function imagesInYaml(text: string, file: string, values: Values): readonly Named[] {
  const found = pagesOf(text, file).flatMap((page) => {
    const { lineOf } = page
    const root = page.document.contents
    if (!isMap(root)) return []
    refuseKustomization(root, page)
    if (get(root, 'apiVersion', page) !== undefined && get(root, 'kind', page) !== undefined)
      return [...imagesAnywhere(podTree(page), root)].flatMap(({ image }) => [...named(image, page)])
    if (get(root, 'services', page) !== undefined || get(root, 'include', page) !== undefined)
      return [...inCompose(root, page, values)]
    throw malformed(file, lineOf(root), 'it is neither a compose file nor a Kubernetes manifest')
  })
  return found.toSorted((a, b) => a.line - b.line)
}

function pagesOf(text: string, file: string): readonly Page[] {
  const lines = new LineCounter()
  let looked = 0
  const lineOf = (node: Node) => Math.max(lines.linePos(node.range?.[0] ?? 0).line, 1)
  const look = (node: Node, depth: number) => {
    looked += 1
    if (looked > MOST_NODES || depth > DEEPEST) throw malformed(file, lineOf(node), 'it repeats or nests too much')
  }
  return parse(text, file, lines).map((document) => ({ file, document, lineOf, look }))
}

/** It says of images what they become, and not where they stand. */
function refuseKustomization(root: Node, page: Page): void {
  const version = get(root, 'apiVersion', page)
  const isOne = isScalar(version) && String(version.value).startsWith('kustomize.config.k8s.io/')
  if (isOne) throw malformed(page.file, page.lineOf(root), TEMPLATE)
}

function parse(text: string, file: string, lineCounter: LineCounter): readonly Document.Parsed[] {
  try {
    const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, uniqueKeys: true })
    const list = 'empty' in documents ? [] : documents
    for (const { errors } of list) {
      const [mistake] = errors
      if (mistake === undefined) continue
      throw malformed(
        file,
        Math.max(lineCounter.linePos(mistake.pos[0]).line, 1),
        text.includes('{{') ? TEMPLATE : mistake.message.split('\n', 1).join(''),
      )
    }
    return list
  } catch (error) {
    if (error instanceof RangeError) throw malformed(file, 1, 'it is nested too deeply', error)
    throw error
  }
}

/** What an alias stands for. */
function real(node: unknown, { document, file, lineOf }: Page): Node | undefined {
  if (isAlias(node)) return node.resolve(document) ?? refuseAlias(file, lineOf(node))
  return isMap(node) || isSeq(node) || isScalar(node) ? node : undefined
}

function refuseAlias(file: string, line: number): never {
  throw malformed(file, line, 'it repeats what is not there')
}

/** A member, also of what is merged in with `<<`. */
function get(node: Node | undefined, name: string, page: Page, depth = 0): Node | undefined {
  if (node === undefined || !isMap<Node, Node | null>(node)) return undefined
  page.look(node, depth)
  const own = node.items.find(({ key }) => isScalar(key) && key.value === name)
  if (own !== undefined) return real(own.value, page)
  const merged = node.items.find(({ key }) => isScalar(key) && key.value === '<<')
  const from = merged && real(merged.value, page)
  const all = from === undefined ? [] : isSeq<Node>(from) ? from.items.map((item) => real(item, page)) : [from]
  for (const one of all) {
    const found = get(one, name, page, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}

function items(node: Node | undefined, page: Page): readonly Node[] {
  return isSeq<Node>(node) ? node.items.flatMap((item) => real(item, page) ?? []) : []
}

function podTree(page: Page): Tree<Node> {
  return {
    member: (node, name) => get(node, name, page),
    items: (node) => items(node, page),
    *below(node) {
      if (isSeq<Node>(node)) for (const item of items(node, page)) yield ['', item]
      if (!isMap<Node, Node | null>(node)) return
      for (const { value } of node.items) {
        const below = real(value, page)
        if (below !== undefined) yield ['', below]
      }
    },
    look: page.look,
  }
}

function* inCompose(root: Node, page: Page, values: Values): Generator<Named, void, undefined> {
  const services = get(root, 'services', page)
  if (!isMap<Node, Node | null>(services)) return
  for (const { value } of services.items) {
    const service = real(value, page)
    const policy = get(service, 'pull_policy', page)
    const isBuilt = isScalar(policy) && policy.value === 'build'
    if (!isBuilt) yield* named(get(service, 'image', page), page, values)
    yield* inBuild(get(service, 'build', page), page, values)
    for (const volume of items(get(service, 'volumes', page), page)) {
      const type = get(volume, 'type', page)
      if (isScalar(type) && type.value === 'image') yield* named(get(volume, 'source', page), page, values)
    }
  }
}

export type Other = { readonly path: string; readonly line: number }

/** The files that a compose file takes in: what it includes, and what its services extend. Throws FILE_MALFORMED. */
export function filesOfCompose(text: string, file: string): readonly Other[] {
  return pagesOf(text, file).flatMap((page) => {
    const root = page.document.contents
    if (!isMap(root) || get(root, 'kind', page) !== undefined) return []
    const services = get(root, 'services', page)
    const all = isMap<Node, Node | null>(services) ? services.items.map(({ value }) => real(value, page)) : []
    const extended = all.map((service) => get(get(service, 'extends', page), 'file', page))
    const included = items(get(root, 'include', page), page).flatMap((item) => {
      const path = isScalar(item) ? item : get(item, 'path', page)
      return isScalar(path) ? [path] : items(path, page)
    })
    return [...included, ...extended].flatMap((node) =>
      isScalar(node) && typeof node.value === 'string' ? [{ path: node.value, line: page.lineOf(node) }] : [],
    )
  })
}

const CONTEXT_IMAGE = 'docker-image://'

/** What a build brings along in the compose file itself; a Dockerfile of its own is a file to be named. */
function* inBuild(build: Node | undefined, page: Page, values: Values): Generator<Named, void, undefined> {
  const inline = get(build, 'dockerfile_inline', page)
  const contexts = get(build, 'additional_contexts', page)
  const own = isMap<Node, Node | null>(contexts)
    ? contexts.items.map(({ key, value }) => [isScalar(key) ? String(key.value) : '', real(value, page)] as const)
    : items(contexts, page).map((item) => ['', item] as const)
  const given = new Set<string>()
  for (const [key, node] of own) {
    if (!isScalar(node) || typeof node.value !== 'string') continue
    const [name, where] = key === '' ? splitOnce(node.value) : [key, node.value]
    given.add(name.toLowerCase())
    if (!where.startsWith(CONTEXT_IMAGE)) continue
    const line = page.lineOf(node)
    const image = expand(where.slice(CONTEXT_IMAGE.length), values, { file: page.file, line })
    yield { file: page.file, line, image, place: undefined }
  }
  if (!isScalar(inline) || typeof inline.value !== 'string') return
  const line = page.lineOf(inline)
  for (const { image } of imagesInDockerfile(inline.value, `${page.file}:${line}`, values)) {
    if (!given.has(image.toLowerCase())) yield { file: page.file, line, image, place: undefined }
  }
}

function splitOnce(text: string): readonly [string, string] {
  const at = text.indexOf('=')
  return [text.slice(0, Math.max(at, 0)), text.slice(at + 1)]
}

function* named(node: Node | undefined, { file, lineOf }: Page, values?: Values): Generator<Named, void, undefined> {
  if (node === undefined || (isScalar(node) && (node.value === null || node.tag === RESET))) return
  const line = lineOf(node)
  if (!isScalar(node) || typeof node.value !== 'string')
    throw malformed(file, line, `an image is a text; if ${TEMPLATE}`)
  if (node.value.includes('{{')) throw malformed(file, line, TEMPLATE)
  const image = values === undefined ? node.value : expand(node.value, values, { file, line })
  yield { file, line, image, place: image === node.value ? placeOf(node) : undefined }
}

function placeOf({ range, type }: Scalar): Place | undefined {
  const quote =
    type === Scalar.PLAIN ? '' : type === Scalar.QUOTE_DOUBLE ? '"' : type === Scalar.QUOTE_SINGLE ? "'" : undefined
  if (range === undefined || range === null || quote === undefined) return undefined
  return { start: range[0], end: range[1], quote }
}
