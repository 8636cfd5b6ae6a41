import { run } from './all.mjs';

window.results = await run();
