/** `npm run openapi`: writes `openapi.yaml` from the schemas of the routes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { stringify } from 'yaml'
import facts from '../package.json' with { type: 'json' }
import { routesOf } from '../server/app.ts'
import { loadSettings } from '../server/config.ts'
import { openApiDocument } from '../server/openapi.ts'
import { openServices } from '../server/start.ts'

const HEADER = '# Made from the routes by `npm run openapi`; a test compares.\n'

export async function openApiYaml(): Promise<string> {
  const data = mkdtempSync(join(tmpdir(), 'tagseal-openapi-'))
  try {
    const settings = loadSettings({ flags: { data }, env: {} })
    const around = { clock: Date.now, random: Math.random, env: {}, logger: pino({ level: 'silent' }) }
    const services = await openServices(settings, around)
    await services.app.ready()
    const document = openApiDocument(routesOf(services.app), facts.version)
    await services.close()
    return HEADER + stringify(document, { lineWidth: 120, aliasDuplicateObjects: false })
  } finally {
    rmSync(data, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(fileURLToPath(new URL('../openapi.yaml', import.meta.url)), await openApiYaml())
}
