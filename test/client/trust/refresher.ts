/** A process for `parallel.test.ts`: refreshes from URL into FOLDER, pinned to ROOT, until it is told a number of times. */
import { readFileSync } from 'node:fs'
import { openRepository } from '../../../client/index.ts'

const [metadataUrl = '', stateDir = '', root = '', times = '1'] = process.argv.slice(2)
const pin = { kind: 'root', bytes: readFileSync(root) } as const
const repository = openRepository({ metadataUrl, stateDir, repository: 'a/b', pin })
try {
  process.stdout.write('ready\n')
  for (let i = 0; i < Number(times); i++) {
    const { timestamp } = await repository.refresh()
    process.stdout.write(`${timestamp.version}\n`)
  }
} finally {
  repository.close()
}
