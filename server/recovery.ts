import { join } from 'node:path'
import type { Settings } from './config.ts'
import type { Restored, RestoredWhy } from './storage/store.ts'

export function marksOf({ data, marks }: Pick<Settings, 'data' | 'marks'>): string {
  return marks ?? join(data, 'marks.db')
}

const WHY: { readonly [W in RestoredWhy]: string } = {
  told: 'a backup was restored',
  'put back as a whole': 'this folder was put back as a whole',
  'older than its marks': 'this database is older than what was served from this folder: a backup was put in its place',
  'without its marks': 'this database came without its marks: it was copied here, or put back from a backup',
  'marks of another database': 'this database and the marks in this folder do not belong together',
}

/** For whoever reads the log or asks readyz: what is the matter, and what comes next. */
export function reasonOf({ why }: Pick<Restored, 'why'>): string {
  return `${WHY[why]}; see what is missing with "tagseal-server restore", and go on with "tagseal-server restore --resume"`
}
