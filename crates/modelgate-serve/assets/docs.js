const script = document.currentScript.src;
addEventListener('DOMContentLoaded', () => {
  SwaggerUIBundle({ url: new URL('../openapi.json', script).href, dom_id: '#paths', deepLinking: true });
});
