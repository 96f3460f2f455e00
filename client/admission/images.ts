/** The images that an object brings along, without those that were in it before. */
import { isJsonObject, member, members } from '../../tuf/model/json.ts'
import type { Json, JsonObject } from '../../tuf/model/json.ts'
import { imagesAnywhere, imagesOfPod } from '../pinning/pods.ts'
import type { Path, Spot, Tree } from '../pinning/pods.ts'
import { isList } from '../registry/json.ts'
import { AdmissionError } from './errors.ts'

export type Wanted = { readonly image: string; readonly path: Path }
/** `kept`: how many stand as they stood. */
export type Images = { readonly wanted: readonly Wanted[]; readonly kept: number }

const MOST_IMAGES = 1000
const LONGEST_IMAGE = 1024

/**
 * An image is as it was if the container of the same name, in the same list, had the same text. That it only stands
 * somewhere in the object does not count: what ran once to set up a volume may not be what is to run for ever.
 *
 * Throws OBJECT_MALFORMED and TOO_MANY_IMAGES.
 */
export function imagesOf(object: JsonObject, before: JsonObject | undefined, pod: Path | 'anywhere'): Images {
  const old = new Set(before === undefined ? [] : spotsIn(before, pod).flatMap(identityOf))
  const all = spotsIn(object, pod)
  const wanted = all.filter((spot) => !identityOf(spot).some((identity) => old.has(identity)))
  return { wanted: wanted.map(({ image, path }) => ({ image, path })), kept: all.length - wanted.length }
}

type Read = Omit<Spot<Json>, 'image'> & { readonly image: string }

function spotsIn(object: JsonObject, pod: Path | 'anywhere'): readonly Read[] {
  const found: Read[] = []
  const spots = pod === 'anywhere' ? imagesAnywhere(FOREIGN, object) : imagesOfPod(OWN, descend(object, pod), pod)
  for (const spot of spots) {
    const image = textOf(spot)
    if (image !== '') found.push({ ...spot, image })
    if (found.length > MOST_IMAGES) throw new AdmissionError('TOO_MANY_IMAGES', { limit: MOST_IMAGES })
  }
  return found
}

/** Without a name nothing can be told from something else. */
function identityOf({ image, path, list, owner }: Read): readonly string[] {
  const name = isJsonObject(owner) ? member(owner, 'name') : undefined
  const place = path.slice(0, path.lastIndexOf(list))
  return typeof name === 'string' && name !== '' ? [JSON.stringify([place, list, name, image])] : []
}

function textOf({ image, path }: Spot<Json>): string {
  if (typeof image !== 'string') throw malformed(path.join('.'), 'an image is a text')
  if (image.length > LONGEST_IMAGE) throw malformed(path.join('.'), 'it is too long for an image')
  return image
}

function descend(object: JsonObject, path: Path): Json {
  let node: Json = object
  for (const name of path) node = OWN.member(node, name) ?? {}
  return node
}

/** Kubernetes' own kinds have one shape, so that another one is not looked through but refused. */
const OWN: Tree<Json> = {
  member(node, name) {
    if (node === undefined) return undefined
    if (!isJsonObject(node)) throw malformed(name, 'it stands in what is no object')
    return member(node, name) ?? undefined
  },
  items(node) {
    if (node === undefined) return []
    if (!isList(node)) throw malformed('the pod', 'containers and volumes are lists')
    return node
  },
  below: () => [],
  look: () => {},
}

/** In other kinds `containers` may be anything. What their controllers make of them is a pod, and is looked at as one. */
const FOREIGN: Tree<Json> = {
  member: (node, name) => (isJsonObject(node) ? (member(node, name) ?? undefined) : undefined),
  items: (node) => (isList(node) ? node : []),
  below: (node) => (isList(node) ? node.map((item, i) => [String(i), item]) : isJsonObject(node) ? members(node) : []),
  look: () => {}, // what was parsed has an end, in size and depth
}

function malformed(where: string, why: string): AdmissionError<'OBJECT_MALFORMED'> {
  return new AdmissionError('OBJECT_MALFORMED', { where, why })
}
