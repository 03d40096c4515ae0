//! The country and the network of an address, from databases in the format of MaxMind.

use std::{net::IpAddr, sync::Arc};

use maxminddb::{PathElement, Reader};

/// What policies see where a database does not know the address.
pub const UNKNOWN_COUNTRY: &str = "unknown";

/// Databases as they were when the policy was compiled: replaced with it, never in place.
#[derive(Default)]
pub struct Geo {
    country: Option<Reader<Bytes>>,
    asn: Option<Reader<Bytes>>,
}

/// The bytes of a database, shared.
struct Bytes(Arc<[u8]>);

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Geo {
    /// Takes in a database of countries (`GeoLite2-Country`, or a City one).
    ///
    /// # Errors
    /// The bytes are no such database; one sentence.
    pub fn with_country(mut self, bytes: Arc<[u8]>) -> Result<Self, String> {
        let reader = open(bytes)?;
        let kind = &reader.metadata().database_type;
        if !["Country", "City", "Enterprise"].iter().any(|name| kind.contains(name)) {
            return Err(format!(
                "a database of `{kind}` tells no countries; name a Country or City database"
            ));
        }
        self.country = Some(reader);
        Ok(self)
    }

    /// Takes in a database of autonomous systems (`GeoLite2-ASN`).
    ///
    /// # Errors
    /// The bytes are no such database; one sentence.
    pub fn with_asn(mut self, bytes: Arc<[u8]>) -> Result<Self, String> {
        let reader = open(bytes)?;
        let kind = &reader.metadata().database_type;
        if !["ASN", "ISP", "Enterprise"].iter().any(|name| kind.contains(name)) {
            return Err(format!("a database of `{kind}` tells no networks; name an ASN database"));
        }
        self.asn = Some(reader);
        Ok(self)
    }

    /// Whether countries can be told.
    #[must_use]
    pub fn has_country(&self) -> bool {
        self.country.is_some()
    }

    /// Whether networks can be told.
    #[must_use]
    pub fn has_asn(&self) -> bool {
        self.asn.is_some()
    }

    /// The ISO 3166-1 code of the country that the address is in, or that its network is registered in; [`UNKNOWN_COUNTRY`]
    /// where the database does not tell.
    #[must_use]
    pub fn country(&self, ip: IpAddr) -> String {
        let code = |name| self.country.as_ref().and_then(|db| text(db, ip, &[name, "iso_code"]));
        let known = code("country").or_else(|| code("registered_country"));
        known.filter(|code| code.len() == 2).unwrap_or_else(|| UNKNOWN_COUNTRY.to_owned())
    }

    /// The number of the autonomous system that announces the address; 0 (reserved, RFC 7607) where it is not known.
    #[must_use]
    pub fn asn(&self, ip: IpAddr) -> u32 {
        let Some(database) = &self.asn else { return 0 };
        let found = database.lookup(ip).ok();
        let path = [PathElement::Key("autonomous_system_number")];
        found.and_then(|found| found.decode_path::<u32>(&path).ok().flatten()).unwrap_or(0)
    }
}

fn open(bytes: Arc<[u8]>) -> Result<Reader<Bytes>, String> {
    let broken = |error| format!("this is no database in MaxMind's format: {error}; download it again");
    let reader = Reader::from_source(Bytes(bytes)).map_err(broken)?;
    // A damaged one is refused here, not found out by the first request that comes from there.
    reader.verify().map_err(broken)?;
    Ok(reader)
}

fn text(database: &Reader<Bytes>, ip: IpAddr, path: &[&str; 2]) -> Option<String> {
    let path = path.map(PathElement::Key);
    let found = database.lookup(ip).ok()?;
    found.decode_path::<&str>(&path).ok().flatten().map(str::to_owned)
}
