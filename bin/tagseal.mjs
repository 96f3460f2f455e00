#!/usr/bin/env node
import { launch } from './launch.mjs'

launch('tagseal', 'client/main.ts')
