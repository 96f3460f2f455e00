import { join } from 'node:path'
import type { Certificate } from './certificate.ts'
import { load, round, run } from './measure.ts'
import { startNotary } from './notary.ts'
import { startOurs } from './ours.ts'

export type RequestOptions = {
  readonly tls: Certificate | undefined
  readonly notary: boolean
  readonly seconds: number
}

/** GET of the file that every client asks for first, by keep-alive and by closed connections. */
export async function timestampFigures(
  dir: string,
  { tls, notary, seconds }: RequestOptions,
): Promise<Record<string, unknown>> {
  const ours = await startOurs(join(dir, 'ours'), tls)
  const peer = notary ? await startNotary(join(dir, 'notary'), 14_481, tls) : undefined
  try {
    const repo = 'example.com/bench/get'
    await run(ours.tagseal('init', repo))
    await peer?.fill(repo, 1)
    const figures: Record<string, unknown> = {}
    for (const [name, close] of [
      ['keep-alive', false],
      ['closed connections', true],
    ] as const) {
      const path = `/v2/${repo}/_trust/tuf/timestamp.json`
      const figure: { ours: number; notary?: number; ratio?: number } = { ours: 0 }
      figure.ours = await load(ours.url + path, { seconds, connections: 32, close })
      if (peer !== undefined) {
        figure.notary = await load(peer.url + path, { seconds, connections: 32, close })
        figure.ratio = round(figure.ours / figure.notary)
      }
      console.log(
        `GET timestamp.json over ${tls === undefined ? 'http' : 'https'}, ${name}: ${JSON.stringify(figure)} requests per second`,
      )
      figures[name] = figure
    }
    return figures
  } finally {
    await peer?.close()
    await ours.close()
  }
}
