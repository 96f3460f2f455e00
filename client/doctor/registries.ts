/** `registries.conf` and what lies beside it: where podman, CRI-O and skopeo look for the images of a registry. */
import type { Machine } from './machine.ts'
import { at, Broken, isTrue, readToml, textAt, textsIn } from './spot.ts'
import type { Spot } from './spot.ts'

export type Registries = {
  /** By prefix: of two with the same one the later counts. */
  readonly entries: ReadonlyMap<string, Entry>
  /** Registries that are tried for a name without one. */
  readonly search: readonly { readonly text: string; readonly spot: Spot }[]
  readonly shortNames: Spot | undefined
  /** Sections of the format before. */
  readonly old: readonly Spot[]
}
export type Entry = {
  readonly prefix: string
  readonly spot: Spot
  readonly location: string
  readonly locationSpot: Spot
  readonly blocked: boolean
  readonly insecure: Spot | undefined
  readonly mirrors: readonly { readonly location: string; readonly spot: Spot; readonly insecure: Spot | undefined }[]
}

/** `folder` is `/etc/containers`, or a user's own. Throws Broken. */
export function readRegistries(machine: Machine, folder: string): Registries {
  const files = [
    `${folder}/registries.conf`,
    ...machine
      .list(`${folder}/registries.conf.d`)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => `${folder}/registries.conf.d/${name}`),
  ]
  const parts = files.flatMap((file) => {
    const text = machine.text(file)
    return text === undefined ? [] : [readToml(text, file)]
  })
  const entries = parts.flatMap((part) => entriesIn(part))
  return {
    entries: new Map(entries.map((entry) => [entry.prefix, entry])),
    search: textsIn(parts.flatMap((part) => at(part, 'unqualified-search-registries') ?? []).at(-1)),
    shortNames: parts.flatMap((part) => at(part, 'short-name-mode') ?? []).at(-1),
    old: parts.flatMap((part) => at(part, 'registries') ?? []),
  }
}

/** Of two files the later one counts; within one file it is the first for some engines, the last for none. Throws Broken. */
function entriesIn(part: Spot): readonly Entry[] {
  const entries = (at(part, 'registry')?.items ?? []).map(readEntry)
  const seen = new Set<string>()
  for (const { prefix, spot } of entries) {
    if (seen.has(prefix))
      throw new Broken(spot.file, spot.line, `there is a [[registry]] for ${prefix} before this one`)
    seen.add(prefix)
  }
  return entries
}

function readEntry(spot: Spot): Entry {
  const location = textAt(spot, 'location') ?? ''
  return {
    prefix: textAt(spot, 'prefix') ?? location,
    spot,
    location: location === '' ? (textAt(spot, 'prefix') ?? '') : location,
    locationSpot: at(spot, 'location') ?? spot,
    blocked: isTrue(at(spot, 'blocked')),
    insecure: trueOnly(at(spot, 'insecure')),
    mirrors: (at(spot, 'mirror')?.items ?? []).map((mirror) => ({
      location: textAt(mirror, 'location') ?? '',
      spot: at(mirror, 'location') ?? mirror,
      insecure: trueOnly(at(mirror, 'insecure')),
    })),
  }
}

function trueOnly(spot: Spot | undefined): Spot | undefined {
  return isTrue(spot) ? spot : undefined
}

/** Whether a prefix or scope is about a name: itself, or what it is above of. `*.example.com` is about every host below. */
export function covers(prefix: string, name: string): boolean {
  if (prefix.startsWith('*.')) {
    const [host = ''] = name.split('/')
    return host.replace(/:\d+$/, '').endsWith(prefix.slice(1)) || name === prefix
  }
  return (
    name === prefix || name.startsWith(`${prefix}/`) || name.startsWith(`${prefix}:`) || name.startsWith(`${prefix}@`)
  )
}

/** The entry that decides about a name. */
export function entryFor({ entries }: Registries, name: string): Entry | undefined {
  const matching = [...entries.values()].filter(({ prefix }) => covers(prefix, name))
  return matching.toSorted((a, b) => b.prefix.length - a.prefix.length)[0]
}
