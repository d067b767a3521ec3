import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';
import { i18n } from './i18n/i18n.svelte';
import { prefs } from './prefs.svelte';

prefs.paint();
await i18n.start();

const target = document.getElementById('app');
if (target) mount(App, { target });
