//! The line that a request is made for.

use core::panic::Location;

use super::RawArena;

/// A site in [`RawArena::site`], until this is dropped.
pub(super) struct Named<'a>(&'a RawArena, Option<&'static Location<'static>>);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        self.0.site.set(self.1);
    }
}

impl RawArena {
    /// Names the site of what is requested meanwhile, unless it has a name.
    pub(super) fn name_site(&self, site: &'static Location<'static>) -> Named<'_> {
        let before = self.site.get();
        self.site.set(before.or(Some(site)));
        Named(self, before)
    }

    /// The site that the request under way has by name, or else this one.
    pub(super) fn site_or(&self, site: &'static Location<'static>) -> &'static Location<'static> {
        self.site.get().unwrap_or(site)
    }
}
