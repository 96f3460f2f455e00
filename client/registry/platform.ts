/** What an image runs on, in Go's words: `linux`, `amd64`, `v7`. */
export type Platform = { readonly os: string; readonly architecture: string; readonly variant?: string }

const PART = /^[a-z0-9][a-z0-9._-]{0,63}$/
const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x86_64', 'amd64'],
  ['x86-64', 'amd64'],
  ['aarch64', 'arm64'],
  ['armhf', 'arm'],
  ['i386', '386'],
])

/** Reads `linux/arm64` or `linux/arm/v7`. undefined for anything else. */
export function parsePlatform(text: string): Platform | undefined {
  const [os = '', architecture = '', variant, ...rest] = text.toLowerCase().split('/')
  if (rest.length > 0 || ![os, architecture, variant ?? 'v1'].every((part) => PART.test(part))) return undefined
  return normal({ os, architecture, ...(variant === undefined ? {} : { variant }) })
}

export function printPlatform({ os, architecture, variant }: Platform): string {
  return [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
}

/** This machine, by Node's words for it. */
export function platformOf(os: string, architecture: string): Platform {
  const names: ReadonlyMap<string, string> = new Map([
    ['x64', 'amd64'],
    ['ia32', '386'],
    ['ppc64', 'ppc64le'],
  ])
  return normal({ os: os === 'win32' ? 'windows' : os, architecture: names.get(architecture) ?? architecture })
}

/** The same platform has one spelling: arm64 is v8, arm without a variant is v7. */
export function normal({ os, architecture, variant }: Platform): Platform {
  const arch = ARCHITECTURES.get(architecture) ?? architecture
  const kept = arch === 'arm' ? (variant ?? 'v7') : arch === 'arm64' && variant === 'v8' ? undefined : variant
  return { os, architecture: arch, ...(kept === undefined || kept === '' ? {} : { variant: kept }) }
}

/**
 * The entry an engine would run: the first that fits exactly, or else the closest older variant, as on an arm v7
 * machine v6 runs and v8 does not.
 */
export function pickPlatform<T extends { readonly platform?: Platform }>(
  entries: readonly T[],
  wanted: Platform,
): T | undefined {
  const target = normal(wanted)
  let best: { entry: T; rank: number } | undefined
  for (const entry of entries) {
    const rank = entry.platform === undefined ? undefined : rankOf(normal(entry.platform), target)
    if (rank !== undefined && (best === undefined || rank < best.rank)) best = { entry, rank }
  }
  return best?.entry
}

/** 0 is exact; undefined does not run. A platform without a variant runs wherever its architecture does. */
function rankOf(has: Platform, wanted: Platform): number | undefined {
  if (has.os !== wanted.os || has.architecture !== wanted.architecture) return undefined
  if (has.variant === wanted.variant) return 0
  const [mine, theirs] = [level(wanted), level(has)]
  return mine === undefined || theirs === undefined || theirs > mine ? undefined : mine - theirs
}

function level({ architecture, variant }: Platform): number | undefined {
  const number = /^v([0-9]{1,2})$/.exec(variant ?? BASELINE.get(architecture) ?? '')?.[1]
  return number === undefined ? undefined : Number(number)
}

const BASELINE: ReadonlyMap<string, string> = new Map([
  ['amd64', 'v1'],
  ['arm64', 'v8'],
])
