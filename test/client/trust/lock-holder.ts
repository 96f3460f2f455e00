/** A process for `lock.test.ts`: `hold FOLDER` takes the lock and keeps it; `count FOLDER TIMES` adds to a number. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { directoryCache } from '../../../client/trust/directory-cache.ts'

const [command, folder = '', times = '1'] = process.argv.slice(2)
const cache = directoryCache(folder)
if (command === 'hold') {
  await cache.lock(async () => {
    process.stdout.write('held\n')
    await new Promise((resolve) => setTimeout(resolve, 60_000))
  })
} else {
  const path = join(folder, 'number')
  for (let i = 0; i < Number(times); i++) {
    await cache.lock(async () => {
      const before = Number(await readFile(path, 'utf8'))
      await writeFile(path, String(before + 1))
    })
  }
}
