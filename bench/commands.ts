import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { pushImage, startRegistry } from '../test/support/registry.ts'
import { buildImage } from '../test/support/images.ts'
import type { Certificate } from './certificate.ts'
import { compare, round, run } from './measure.ts'
import type { Series } from './measure.ts'
import { startNotary } from './notary.ts'
import type { Notary } from './notary.ts'
import { startOurs } from './ours.ts'
import type { Ours } from './ours.ts'

export type CommandOptions = {
  readonly tls: Certificate | undefined
  readonly sizes: readonly number[]
  readonly runs: number
  readonly notary: boolean
}

/** Whole commands, as a pipeline runs them: publish one tag into so many, look one up with a cache and without. */
export async function commandFigures(dir: string, options: CommandOptions): Promise<Record<string, unknown>> {
  const ours = await startOurs(join(dir, 'ours'), options.tls)
  const notary = options.notary ? await startNotary(join(dir, 'notary'), 14_480, options.tls) : undefined
  const registry = await startRegistry()
  try {
    const image = await pushImage(registry, 'bench/app', 'v1', buildImage())
    const figures: Record<string, unknown> = {}
    for (const size of options.sizes) {
      const names = { ours: `${registry.host}/bench/app${size}`, notary: `example.com/bench/app${size}` }
      for (const repository of [`bench/app${size}`]) await pushImage(registry, repository, 'v1', buildImage())
      await fillOurs(ours, join(dir, `${size}.json`), names.ours, image.digest, size)
      await notary?.fill(names.notary, size)
      figures[`${size} tags`] = await measureSize({
        ours,
        notary,
        names,
        digest: image.digest,
        runs: options.runs,
        size,
      })
    }
    return figures
  } finally {
    await registry.stop()
    await notary?.close()
    await ours.close()
  }
}

/** One publish of many tags, through the command, as buildx would name them. */
async function fillOurs(ours: Ours, file: string, repo: string, digest: string, tags: number): Promise<void> {
  const names = Array.from({ length: tags }, (_, i) => `${repo}:tag-${i}`)
  await writeFile(file, JSON.stringify({ 'containerimage.digest': digest, 'image.name': names.join(',') }))
  await run(ours.tagseal('init', repo))
  await run(ours.tagseal('sign', '--plain-http', '--metadata-file', file))
}

type Measured = {
  readonly ours: Ours
  readonly notary: Notary | undefined
  readonly names: { readonly ours: string; readonly notary: string }
  readonly digest: string
  readonly runs: number
  readonly size: number
}

async function measureSize({ ours, notary, names, digest, runs, size }: Measured): Promise<object> {
  const sign = (tag: string) => ours.tagseal('sign', '--plain-http', `${names.ours}:${tag}`, '--digest', digest)
  const publish = await compare(
    {
      ours: { program: (i) => sign(`new-${i}`) },
      ...(notary && { notary: { program: (i: number) => notary.publish(names.notary, `new-${i}`) } }),
    },
    runs,
  )
  // The first tag of a burst asks the registry for the image, and the trust server for what is new (ADR 0016).
  const afterPause = await compare(
    {
      ours: { program: (i) => sign(`first-${i}`), prepare: ours.pause },
      ...(notary && { notary: { program: (i: number) => notary.publish(names.notary, `first-${i}`) } }),
    },
    runs,
  )
  const lookups = {
    ours: { program: () => ours.tagseal('verify', `${names.ours}:tag-7`) },
    ...(notary && { notary: { program: () => notary.lookup(names.notary, 'tag-7') } }),
  }
  const warm = await compare(lookups, runs)
  const cold = await compare(
    {
      ours: { ...lookups.ours, prepare: ours.forget },
      ...(notary && lookups.notary && { notary: { ...lookups.notary, prepare: notary.forget } }),
    },
    runs,
  )
  const all = { publish, 'publish after a pause': afterPause, 'look up warm': warm, 'look up cold': cold }
  for (const [what, figure] of Object.entries(all)) {
    console.log(`${size} tags, ${what}: ${describe(figure)}`)
  }
  return {
    publish: withRatio(publish),
    'publish after a pause': withRatio(afterPause),
    warm: withRatio(warm),
    cold: withRatio(cold),
  }
}

function describe(figure: Record<string, Series>): string {
  const medians = Object.entries(figure).map(([name, { median }]) => `${name} ${median} ms`)
  const ratio = ratioOf(figure)
  return medians.join(', ') + (ratio === undefined ? '' : `, ratio ${ratio}`)
}

function withRatio(figure: Record<string, Series>): object {
  return { ...figure, ratio: ratioOf(figure) }
}

function ratioOf({ ours, notary }: Record<string, Series>): number | undefined {
  return ours === undefined || notary === undefined ? undefined : round(ours.median / notary.median)
}
