import t from 'tap'
import { limits } from '../support/limits.ts'

await limits(t, 1)
