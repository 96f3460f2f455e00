/** What tests ask of an engine that knows nothing of us, and the configuration that it is given. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Ran } from './program.ts'
import { runInside } from './run-inside.ts'

/** From the registry that stands in names to the gateway that is asked, as `127.0.0.1:5000`. */
export type Route = { readonly registry: string; readonly gateway: string }

export type StockEngine = {
  readonly name: string
  /** How this engine calls an image of `team/app`: `:tag` or `@digest` is what follows. */
  readonly imageOf: (what: string) => string
  /** `apart`: as somebody else, where the engine knows several who share nothing. */
  readonly pull: (image: string, apart?: string) => Promise<Ran>
  /** Runs an image that was pulled; undefined: this engine runs nothing. */
  readonly start: ((image: string) => Promise<Ran>) | undefined
  /** Every image in its store in its own words, and all content by digest where it can say; the same as long as nothing comes. */
  readonly store: () => Promise<string>
  /** Takes an image out of it. */
  readonly remove: (image: string) => Promise<Ran>
  /** All that it tells of a layer that is refused, where it shows nobody else's words. */
  readonly saidOfLayers: RegExp | undefined
  /** What its command line needs to reach this one. */
  readonly env: Readonly<Record<string, string>>
  /** Below it is what doctor wrote. */
  readonly root: string
  readonly stop: () => Promise<void>
}

/** The folder below which `tagseal doctor` wrote the configuration of an engine. */
export async function writtenFor(engine: string, gateway: string, more: readonly string[] = []): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'tagseal-written-'))
  const args = ['doctor', '--write', engine, '--root', root, '--gateway', `http://${gateway}`, '--yes', ...more]
  const { exit, stderr } = await runInside(args)
  if (exit !== 0) throw new Error(stderr)
  return root
}
